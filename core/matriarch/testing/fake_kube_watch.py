"""Watches of the fake API server: who waits for which table, and what a stream brings when."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable

from matriarch.kube.api import Kind, Object, WatchEvent
from matriarch.testing.fake_kube_faults import ApiFaults
from matriarch.testing.fake_kube_selectors import Matches
from matriarch.testing.fake_kube_store import Change, Store, Table
from matriarch.words.errors import Gone, Unavailable
from matriarch.words.facts import fact

_MUTE_POLL_S = 0.25
"""How often a stream that a fault silences looks whether the fault has ended."""


@fact(frozen=True, slots=True)
class Selection:
    """What a watch is about."""

    kind: Kind
    namespace: str | None
    matches: Matches

    def seen(self, change: Change) -> WatchEvent | None:
        """What the watch is told of a change.

        An object that leaves the selection is DELETED, in the state in which it last belonged to it.
        """
        if self.namespace not in (None, change.object["metadata"].get("namespace")):
            return None
        before = change.old is not None and self.matches(change.old)
        if change.type != "DELETED" and self.matches(change.object):
            return WatchEvent("MODIFIED" if before else "ADDED", change.object)
        if not before or change.old is None:
            return None
        metadata = {**change.old["metadata"], "resourceVersion": str(change.version)}
        return WatchEvent("DELETED", {**change.old, "metadata": metadata})

    def bookmark(self, version: int) -> WatchEvent:
        """A sign of life that tells how far the stream has come."""
        metadata: Object = {"resourceVersion": str(version)}
        return WatchEvent(
            "BOOKMARK", {"apiVersion": self.kind.group_version, "kind": self.kind.name, "metadata": metadata}
        )


class Feed:
    """Wakes the streams that wait for a table, and breaks them on demand."""

    def __init__(self, store: Store, rng: random.Random, bookmark_interval: float) -> None:
        self.store = store
        self.rng = rng
        self.bookmark_interval = bookmark_interval
        self._waiting: dict[int, dict[_Sleeper, None]] = {}
        self._breaks: dict[str, tuple[int, bool]] = {}

    def breaks(self, identity: str) -> tuple[int, bool]:
        """How often the caller's streams were broken, and whether cleanly the last time."""
        return self._breaks.get(identity, (0, False))

    def break_streams(self, identity: str, cleanly: bool) -> None:
        """End the caller's open streams."""
        self._breaks[identity] = (self.breaks(identity)[0] + 1, cleanly)
        self.ring_all()

    def ring(self, table: Table) -> None:
        """The table has changed: who waits for it is woken when the change reaches it."""
        for sleeper in self._waiting.get(id(table), ()):
            sleeper.expect()

    def ring_all(self) -> None:
        """Wake everybody."""
        for waiting in self._waiting.values():
            for sleeper in waiting:
                sleeper.wake()

    async def wait(self, sleeper: _Sleeper, until: float) -> None:
        """Return when the reader has something to bring, a stream was broken, or at the loop's time `until`."""
        waiting = self._waiting.setdefault(id(sleeper.reader.table), {})
        waiting[sleeper] = None
        try:
            await sleeper.sleep(until)
        finally:
            waiting.pop(sleeper, None)


class _Sleeper:
    """A stream that waits, with an alarm clock that it sets seldom: one that rings too early is set anew then."""

    def __init__(self, reader: _Reader) -> None:
        self._loop = asyncio.get_running_loop()
        self.reader = reader
        self._until = self._rings_at = math.inf
        self._alarm: asyncio.TimerHandle | None = None
        self._woken: asyncio.Future[None] | None = None

    async def sleep(self, until: float) -> None:
        """Until woken, or until then."""
        self._until = until
        self._set_alarm()
        self._woken = self._loop.create_future()
        try:
            await self._woken
        finally:
            self._woken = None

    def wake(self) -> None:
        """Wake now."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def expect(self) -> None:
        """There is something new: wake when it arrives, if that is earlier."""
        due = self.reader.due()
        if due < self._until:
            self._until = due
            self._set_alarm()

    def end(self) -> None:
        """No alarm any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _set_alarm(self) -> None:
        if self._alarm is not None and self._rings_at <= self._until:
            return
        self.end()
        self._rings_at = self._until
        self._alarm = self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._woken is None:
            return
        if self._loop.time() >= self._until:
            self.wake()
        else:
            self._set_alarm()


async def stream(
    feed: Feed,
    identity: str,
    faults: ApiFaults,
    selection: Selection,
    start: Callable[[], Awaitable[int]],
    idle_timeout: float,
) -> AsyncGenerator[WatchEvent, None]:
    """The events after the position in the history that `start` answers, late, silent or broken as the caller's faults
    have it."""
    loop, table = asyncio.get_running_loop(), feed.store.table(selection.kind)
    reader = _Reader(feed, faults, selection, table, await start())
    sleeper = _Sleeper(reader)
    breaks = feed.breaks(identity)[0]
    last_sign = loop.time()
    try:
        while True:
            count, cleanly = feed.breaks(identity)
            if count != breaks:
                if cleanly:
                    return
                raise Unavailable("the watch was reset by peer")
            deadline = last_sign + idle_timeout
            if loop.time() >= deadline:
                raise Unavailable(f"the watch brought nothing for {idle_timeout} s")
            event, look_again = reader.next(loop.time(), last_sign + feed.bookmark_interval)
            if event is None:
                await feed.wait(sleeper, min(deadline, look_again))
            else:
                yield event
                last_sign = loop.time()
    finally:
        sleeper.end()


class _Reader:
    """Where one stream is in the history."""

    def __init__(self, feed: Feed, faults: ApiFaults, selection: Selection, table: Table, position: int) -> None:
        self._feed = feed
        self._faults = faults
        self._selection = selection
        self.table = table
        self._position = position
        self._due: float | None = None
        self._earliest = 0.0

    def next(self, now: float, bookmark_at: float) -> tuple[WatchEvent | None, float]:
        """The event to bring now, or None and the time at which to look again at the latest."""
        table = self.table
        if self._position < table.dropped:
            raise Gone("the watch fell behind the history that the server keeps")
        if self._faults.mute:
            return None, now + _MUTE_POLL_S
        while self._position < table.dropped + len(table.history):
            change = table.history[self._position - table.dropped]
            due = self._due_time(change)
            if due > now:
                return None, due
            self._position, self._due = self._position + 1, None
            event = self._selection.seen(change)
            if event is not None:
                if self._faults.drop_watch > 0 and self._feed.rng.random() < self._faults.drop_watch:
                    raise Unavailable("the watch was reset by peer")
                return event, now
        if now >= bookmark_at:
            return self._selection.bookmark(self._feed.store.version), now
        return None, bookmark_at

    def due(self) -> float:
        """When the next change that is not read yet reaches the caller; for ever when there is none."""
        unread = self._position - self.table.dropped
        if self._faults.mute or not 0 <= unread < len(self.table.history):
            return math.inf
        return self._due_time(self.table.history[unread])

    def _due_time(self, change: Change) -> float:
        """When this change reaches the caller: drawn once, and never before an earlier change."""
        if self._due is None:
            lag = self._feed.rng.uniform(*self._faults.watch_lag) if self._faults.watch_lag[1] > 0 else 0.0
            self._due = self._earliest = max(self._earliest, change.at + lag)
        return self._due
