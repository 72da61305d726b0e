"""Something that may happen again and again, and those who wait for its next time."""

from __future__ import annotations

import asyncio


class Bell:
    """An asyncio.Event that is never set: ringing it wakes who waits at that moment, and costs nothing when nobody
    does."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake everybody."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            if not woken.done():
                woken.set_result(None)

    async def wait(self) -> None:
        """Return when it rings next."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        await woken
