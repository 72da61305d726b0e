"""The network of a simulated world: who reaches whom, with what delay, and the members' REST over it.

Hosts are named: a member's pod, a client's machine. What is sent into a partition is not refused, it vanishes: the
sender notices only by its own timeout, as with dropped packets.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from matriarch.ha.view import PeerAnswer

T = TypeVar("T")


class FakeNetwork:
    """Directed reachability between hosts. Cutting is counted, so that overlapping faults heal one by one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._cuts: dict[tuple[str, str], int] = {}
        self._dark: dict[str, int] = {}
        self.alias: dict[str, str] = {}
        """Address -> host, for hosts whose address changes."""
        self.delay: tuple[float, float] = (0.0001, 0.003)
        self.loss: float = 0.0
        """Probability that a request or its answer vanishes."""

    def cut(self, source: str, target: str) -> None:
        """Let nothing pass from `source` to `target`."""
        self._cuts[source, target] = self._cuts.get((source, target), 0) + 1

    def mend(self, source: str, target: str) -> None:
        """Undo one `cut`."""
        left = self._cuts.get((source, target), 0) - 1
        if left > 0:
            self._cuts[source, target] = left
        else:
            self._cuts.pop((source, target), None)

    def darken(self, host: str) -> None:
        """Let nothing in or out of a host, whoever the other side is."""
        self._dark[host] = self._dark.get(host, 0) + 1

    def lighten(self, host: str) -> None:
        """Undo one `darken`."""
        left = self._dark.get(host, 0) - 1
        if left > 0:
            self._dark[host] = left
        else:
            self._dark.pop(host, None)

    def heal(self) -> None:
        """No cuts, no losses."""
        self._cuts.clear()
        self._dark.clear()
        self.loss = 0.0

    @property
    def whole(self) -> bool:
        """Whether every host reaches every other."""
        return not self._dark and not self._cuts

    def passes(self, source: str, target: str) -> bool:
        """Whether a packet from `source` arrives at `target` now. A host always reaches itself."""
        if not self._dark and not self._cuts:
            return True
        source, target = self.alias.get(source, source), self.alias.get(target, target)
        if source == target:
            return True
        return not (source in self._dark or target in self._dark or (source, target) in self._cuts)

    def both_ways(self, one: str, other: str) -> bool:
        """Whether a connection between two hosts works."""
        return self.passes(one, other) and self.passes(other, one)

    def latency(self) -> float:
        """One way, in seconds."""
        low, high = self.delay
        return low + (high - low) * self._rng.random()

    async def ask(self, source: str, target: str, serve: Callable[[], Awaitable[T]]) -> T:
        """A request and its answer. Hangs for ever when either is lost: the caller has a timeout of its own.

        `serve` runs at the other side. It may run although the answer never arrives.
        """
        await asyncio.sleep(self.latency())
        if not self.arrives(source, target):
            await _never()
        answer = await serve()
        await asyncio.sleep(self.latency())
        if not self.arrives(target, source):
            await _never()
        return answer

    def arrives(self, source: str, target: str) -> bool:
        """Whether one packet that is sent now arrives; losses are drawn."""
        if not self.passes(source, target):
            return False
        return source == target or not (self.loss and self._rng.random() < self.loss)


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


class MemberRest(Protocol):
    """A member's REST face as the simulated network serves it. ConnectionError stands for a refused connection."""

    async def status(self) -> Mapping[str, Any]:
        """The body of `GET /patroni`."""
        ...

    async def failsafe(self, body: Mapping[str, Any]) -> int:
        """`POST /failsafe`; the status code."""
        ...


class SimPeers:
    """The `Peers` port of one member over a FakeNetwork. `decode` turns a `GET /patroni` body into a PeerAnswer."""

    def __init__(
        self,
        host: str,
        network: FakeNetwork,
        find: Callable[[str], tuple[str, MemberRest] | None],
        decode: Callable[[str, Mapping[str, Any]], PeerAnswer],
    ) -> None:
        self._host = host
        self._network = network
        self._find = find
        self._decode = decode

    async def ask(self, name: str, api_url: str, *, timeout: float) -> PeerAnswer:
        """`GET /patroni` of a member."""
        found = self._find(api_url)
        if found is None:
            await asyncio.sleep(timeout)
            return PeerAnswer(name, reachable=False)
        target, rest = found
        try:
            async with asyncio.timeout(timeout):
                body = await self._network.ask(self._host, target, rest.status)
        except ConnectionRefusedError:
            return PeerAnswer(name, reachable=False, refused=True)
        except (TimeoutError, ConnectionError):
            return PeerAnswer(name, reachable=False)
        return self._decode(name, body)

    async def claim(self, api_url: str, claim: Any, *, timeout: float) -> bool:
        """`POST /failsafe`; True when the member accepted."""
        found = self._find(api_url)
        if found is None:
            await asyncio.sleep(timeout)
            return False
        target, rest = found
        body = {"name": claim.name, "api_url": claim.api_url, "conn_url": claim.conn_url, "slots": dict(claim.slots)}
        body["timeline"] = claim.timeline
        body["ttl"] = claim.ttl
        try:
            async with asyncio.timeout(timeout):
                return await self._network.ask(self._host, target, lambda: rest.failsafe(body)) == 200
        except (TimeoutError, ConnectionError):
            return False
