"""Clients that write, and remember what was acknowledged to them."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING

from matriarch.testing.fake_postgres_server import Reply, Server
from matriarch.testing.fake_postgres_wal import Branch

if TYPE_CHECKING:
    from simulation.member import Member
    from simulation.world import World

TIMEOUT_S = 6.0
BULK = 0.004
"""Share of commits that are bulk loads."""


class Client:
    """One session after the other. A sticky client sits on a member's node and talks to that member only. A local one
    sits on a member's node and uses the Service, whose routes are as old there as the node's last word from the API
    server."""

    def __init__(self, world: World, number: int, sticky: Member | None = None, local: Member | None = None) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/client/{number}")
        self.name = f"client-{number}"
        self.sticky, self.local = sticky, local
        self._host = local.name if local is not None else self.name
        """Where its packets come from."""
        self._address: str | None = None
        self.acks: list[float] = []
        """When commits were acknowledged to this client."""
        self.pause: tuple[float, float] = (0.1, 1.2)
        """Seconds between commits."""
        self.bulk = BULK
        self.timeout_s = TIMEOUT_S
        self._loop = asyncio.get_running_loop()
        self._asked = 0
        """Commits begun."""
        self._asked_at = 0.0
        self._tell: Reply | None = None
        """Whom to tell of the commit under way."""
        self._patient = False

    def run(self) -> None:
        """Begin to write, and go on to the end of the world."""
        self._loop.call_later(self._rng.uniform(*self.pause), self._next)

    async def write(self) -> tuple[Branch, int] | None:
        """One commit. None when it was not acknowledged to this client."""
        told: asyncio.Future[tuple[Branch, int] | None] = self._loop.create_future()
        self._begin(told.set_result)
        return await told

    def _next(self) -> None:
        if not self._world.healing or self.sticky is None:
            self._begin(self._told)

    def _told(self, end: tuple[Branch, int] | None) -> None:
        pause = self._rng.uniform(*self.pause)
        if end is None:
            self._address = None
            pause += self._rng.uniform(0.05, 0.5)
        else:
            self.acks.append(self._loop.time())
        self._loop.call_later(pause, self._next)

    def _begin(self, tell: Reply) -> None:
        """Send a commit. `tell` is called once: with its end, or with None after the timeout or a broken session."""
        size = 80 + int(self._rng.random() * 2920)
        if self._rng.random() < self.bulk:
            size = self._rng.randint(1, 40) * 1024 * 1024
        self._asked += 1
        self._tell, asked = tell, self._asked
        if not self._patient:
            self._be_patient(self._loop.time())
        self._asked_at = self._loop.time()
        network, server = self._world.network, self._server()
        if server is None:
            self._hear(asked, None)
            return
        delay = network.latency() + self._rng.uniform(*server.hazards.fsync)
        if self.sticky is not None:
            server.submit(size, delay, partial(self._hear, asked))
        elif network.arrives(self._host, server.host):
            server.submit(size, delay, partial(self._answer, asked, server.host))

    def _server(self) -> Server | None:
        """Where this client's session goes: its own node's member, or what the Service routes to."""
        if self.sticky is not None:
            return self.sticky.server
        if self._address is None:
            # kube-proxy follows the Endpoints with up to a second of delay.
            seen = self._loop.time() - self._rng.uniform(0.02, 1.0)
            if self.local is not None:
                seen = min(seen, self._world.dark_since.get(self.local.name, seen))
            self._address = self._world.truth.address(seen)
        server = self._world.site.servers.get(self._address or "")
        return None if server is not None and server.deaf else server

    def _answer(self, asked: int, host: str, end: tuple[Branch, int] | None) -> None:
        if self._world.network.arrives(host, self._host):
            self._hear(asked, end)

    def _hear(self, asked: int, end: tuple[Branch, int] | None) -> None:
        if asked == self._asked and self._tell is not None:
            tell, self._tell = self._tell, None
            tell(end)

    def _be_patient(self, since: float) -> None:
        """One alarm for all commits: it rings when the one under way would be given up if it had begun at `since`."""
        self._patient = True
        self._loop.call_at(since + self.timeout_s, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patient = False
        if self._tell is None:
            return
        if self._loop.time() >= self._asked_at + self.timeout_s:
            self._hear(self._asked, None)
        else:
            self._be_patient(self._asked_at)
