"""A queue of keys: each at most once, each in one pair of hands at a time, with backoff, planned wake-ups and resync.

Nothing is lost: a key that is added while it is being worked on comes again right after, and one that is added while it
is held back after a failure comes when that is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_S = (0.5, 60.0)
"""First and longest delay after a failure, in seconds."""


def backoff_s(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row before this one; `chance` in [0, 1) scatters them."""
    first, longest = BACKOFF_S
    return min(longest, first * 2.0 ** min(failures, 10)) * (0.5 + 0.5 * chance)


class KeyedQueue(Generic[K]):
    """`chance` gives a number in [0, 1): delays after failures are scattered by it, so that a fleet does not march."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._ready: dict[K, float] = {}
        self._working: set[K] = set()
        self._again: dict[K, bool] = {}  # and whether in a hurry
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._held: set[K] = set()  # the timer of these is the end of a backoff
        self._failures: dict[K, int] = {}
        self._wakeup = asyncio.Event()
        self._taken_at = float("-inf")

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Look at this key as soon as somebody is free; after a failure, no earlier than its backoff allows.

        What fails makes events itself, and members that live do so every few seconds: a backoff that they end is none.
        """
        self._add(key, hurry=False)

    def hurry(self, key: K) -> None:
        """Look at this key as soon as somebody is free, whatever happened before: a person has changed something."""
        self._add(key, hurry=True)

    def _add(self, key: K, *, hurry: bool) -> None:
        if key in self._working:
            self._again[key] = hurry or self._again.get(key, False)
        elif hurry or key not in self._held:
            self._cancel_timer(key)
            self._make_ready(key)

    def add_after(self, key: K, delay_s: float) -> None:
        """Look at this key in `delay_s` seconds, or earlier if somebody adds it. An earlier plan and a backoff stay."""
        loop = asyncio.get_running_loop()
        present = self._timers.get(key)
        if present is not None and (key in self._held or present.when() <= loop.time() + delay_s):
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(delay_s, self._due, key)

    def failed(self, key: K, *, hold: bool = True) -> float:
        """Plan another look after a failure; returns the delay in seconds.

        `hold`: no event shortens it. Not after a conflict, which news of the world may well resolve.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = backoff_s(count, self._chance())
        self._cancel_timer(key)
        if hold:
            self._held.add(key)
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self._due, key)
        return delay

    def succeeded(self, key: K) -> None:
        """The next failure starts with the shortest delay again."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """Nothing is planned for this key any more."""
        self._cancel_timer(key)
        self._failures.pop(key, None)
        self._ready.pop(key, None)
        self._again.pop(key, None)

    async def take(self) -> K:
        """The key that has waited longest. Every take must be followed by `done`."""
        while not self._ready:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._working.add(key)
        self._taken_at = asyncio.get_running_loop().time()
        return key

    def done(self, key: K) -> None:
        """Gives a key back."""
        self._working.discard(key)
        if key in self._again:
            self._add(key, hurry=self._again.pop(key))

    def stalled_s(self) -> float:
        """Seconds for which keys have been waiting and none was taken; 0 when none waits.

        A long queue that is being worked off is no stall, however old its last key.
        """
        oldest = next(iter(self._ready.values()), None)
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - max(oldest, self._taken_at)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self._held.discard(key)
        self._add(key, hurry=False)

    def _make_ready(self, key: K) -> None:
        if key not in self._ready:
            self._ready[key] = asyncio.get_running_loop().time()
            self._wakeup.set()

    def _cancel_timer(self, key: K) -> None:
        self._held.discard(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
