"""Clients that write, and remember what was acknowledged to them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from matriarch.testing.fake_postgres_wal import Branch

if TYPE_CHECKING:
    from simulation.member import Member
    from simulation.world import World

TIMEOUT_S = 6.0
BULK = 0.004
"""Share of commits that are bulk loads."""


class Client:
    """One session after the other. A sticky client sits on a member's node and talks to that member only."""

    def __init__(self, world: World, number: int, sticky: Member | None = None) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/client/{number}")
        self.name = f"client-{number}"
        self.sticky = sticky
        self._address: str | None = None
        self.acks: list[float] = []
        """When commits were acknowledged to this client."""
        self.pause: tuple[float, float] = (0.1, 0.6)
        """Seconds between commits."""
        self.bulk = BULK
        self.timeout_s = TIMEOUT_S

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(*self.pause))
            if self._world.healing and self.sticky is not None:
                return
            if await self.write() is None:
                self._address = None
                await asyncio.sleep(self._rng.uniform(0.05, 0.5))
            else:
                self.acks.append(asyncio.get_running_loop().time())

    async def write(self) -> tuple[Branch, int] | None:
        """One commit. None when it was not acknowledged to this client."""
        size = self._rng.randint(80, 3000)
        if self._rng.random() < self.bulk:
            size = self._rng.randint(1, 40) * 1024 * 1024
        try:
            async with asyncio.timeout(self.timeout_s):
                if self.sticky is not None:
                    return await self.sticky.server.commit(size)
                return await self._write_routed(size)
        except (TimeoutError, ConnectionError):
            return None

    async def _write_routed(self, size: int) -> tuple[Branch, int] | None:
        if self._address is None:
            # kube-proxy follows the Endpoints with up to a second of delay.
            seen = asyncio.get_running_loop().time() - self._rng.uniform(0.02, 1.0)
            self._address = self._world.truth.address(seen)
        if self._address is None:
            return None
        server = self._world.site.servers.get(self._address)
        if server is None:
            raise ConnectionError("nobody there")
        return await self._world.network.ask(self.name, self._address, lambda: server.commit(size))
