"""The agent's parent in the simulator: it survives the agent and holds the leash on the member's own clock."""

from __future__ import annotations

import asyncio

from matriarch.testing.fake_postgres_server import Server


class MemberClock:
    """A monotonic clock that runs at its own rate: `rate` 1.01 gains one second in a hundred."""

    def __init__(self, rate: float = 1.0, offset: float = 0.0) -> None:
        self._rate = rate
        self._offset = offset
        self._time = asyncio.get_running_loop().time

    def now(self) -> float:
        """Seconds on this member's clock."""
        return self._offset + self._time() * self._rate

    def real(self, moment: float) -> float:
        """The loop's time at which this clock shows `moment`."""
        return (moment - self._offset) / self._rate


class FakeInit:
    """The `Init` port. `frozen`: the whole container stands still, init with it."""

    def __init__(self, server: Server, clock: MemberClock, *, leash: bool = True) -> None:
        self._server = server
        self._clock = clock
        self._leash = leash
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._runs = server.news.transitions
        self.frozen = False
        server.permitted = self._permits

    async def set_lease(self, until: float | None) -> None:
        """Tell the end of the lease; None: Postgres is not under the leash."""
        self._until = until
        self._arm()

    async def lease(self) -> float | None:
        """The lease end that init knows."""
        return self._until

    async def untouched(self) -> bool:
        """Whether no postmaster has run since this container started."""
        return self._server.process == "stopped" and self._server.news.transitions == self._runs

    @property
    def armed(self) -> bool:
        """Whether a lease end is known."""
        return self._until is not None

    def _permits(self) -> bool:
        """init starts no postmaster after the lease that it knows."""
        return not self._leash or self._until is None or self._clock.now() < self._until

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._until is None or not self._leash:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(max(loop.time(), self._clock.real(self._until)), self._expire)

    def _expire(self) -> None:
        self._timer = None
        if not self.frozen and self._until is not None and self._server.process != "stopped":
            self._server.die("killed by the leash")

    def thaw(self) -> None:
        """The container goes on: a deadline that passed meanwhile is acted on before anything else runs."""
        self.frozen = False
        if self._until is not None and self._clock.now() >= self._until and self._leash:
            self._expire()

    def end(self) -> None:
        """The container is gone, and with it whatever init knew."""
        self._until = None
        self._arm()
