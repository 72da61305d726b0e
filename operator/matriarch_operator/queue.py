"""A queue of keys: each at most once, each in one pair of hands at a time, with backoff, planned wake-ups and resync.

Nothing is lost: a key that is added while it is being worked on comes again right after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_S = (0.5, 60.0)
"""First and longest delay after a failure, in seconds."""


class KeyedQueue(Generic[K]):
    """`chance` gives a number in [0, 1): delays after failures are scattered by it, so that a fleet does not march."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._ready: dict[K, float] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wakeup = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Look at this key as soon as somebody is free."""
        self._cancel_timer(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = asyncio.get_running_loop().time()
            self._wakeup.set()

    def add_after(self, key: K, delay_s: float) -> None:
        """Look at this key in `delay_s` seconds, or earlier if somebody adds it. An earlier plan stays."""
        loop = asyncio.get_running_loop()
        present = self._timers.get(key)
        if present is not None and present.when() <= loop.time() + delay_s:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(delay_s, self._due, key)

    def failed(self, key: K) -> float:
        """Plan another look after a failure; returns the delay in seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        first, longest = BACKOFF_S
        delay = min(longest, first * 2.0 ** min(count, 10)) * (0.5 + 0.5 * self._chance())
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """The next failure starts with the shortest delay again."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """Nothing is planned for this key any more."""
        self._cancel_timer(key)
        self._failures.pop(key, None)
        self._ready.pop(key, None)
        self._again.discard(key)

    async def take(self) -> K:
        """The key that has waited longest. Every take must be followed by `done`."""
        while not self._ready:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Gives a key back."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def oldest_wait_s(self) -> float:
        """Seconds for which the first key has been waiting for a worker; 0 when none waits."""
        since = next(iter(self._ready.values()), None)
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
