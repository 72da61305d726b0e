"""A local copy of the objects of one kind, kept up to date by list and watch.

Two rules are borrowed from Patroni's cache: an object with an older resourceVersion never replaces a
newer one, so the result of an own write can be put in at once; and a write that met a conflict makes the copy suspect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from types import MappingProxyType

from matriarch.kube.api import Kind, Kube, Listing, Object, WatchEvent
from matriarch.words.errors import MatriarchError, Throttled, TransientError

Key = tuple[str, str]
"""Namespace and name; the namespace is empty for kinds without one."""
Change = Callable[[Object | None, Object | None], None]
"""Called with the old and the new object: (None, new) added, (old, new) changed, (old, None) gone."""

BACKOFF_S = (0.1, 0.2, 0.4, 0.8, 1.0)
_WORKED_S = 1.0
"""A watch that brought something and lived this long, list included, was no failure. One that ended sooner was,
whatever it brought: after an old list each stream brings something at once."""
_SETTLED_S = 10.0
"""A watch that lived this long was no failure, even if nothing happened in it."""
_REFRESH_S = 0.5
"""Seconds between two lists that nothing but doubts ask for."""
_LAPSE_S = 10.0
"""Seconds between the last that a watch brought and the next list, after which objects may have come and gone unseen:
a watch that was broken off may have been silent for long."""


class Informer:
    """Watches `kind` in `namespace` (None: all) for objects that match `labels`.

    `await informer.run()` in a TaskGroup keeps it going until cancelled; nothing that the API server does ends it.
    `on_change` is called in the informer's task (for `put`: in the caller's) and must not raise. What vanished while no
    watch was open is reported as gone after the next list; an object that was deleted and made again in between, as
    gone and added. Failures are followed by the pauses of `backoff` (seconds; the last one repeats), and so are watches
    that end soon, again and again.

    `cache` is a live read-only view; its objects must not be changed. `synced` is set once the first list was read.
    `last_contact` is `now()` when the server last gave any sign: an answer, an event, a bookmark. `failure` is the last
    error, None while all is well.
    """

    def __init__(
        self,
        kube: Kube,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        *,
        on_change: Change = lambda _old, _new: None,
        now: Callable[[], float] = time.monotonic,
        backoff: Iterable[float] = BACKOFF_S,
        list_timeout: float = 30.0,
        idle_timeout: float = 75.0,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self.last_contact = float("-inf")
        self._followed_since = self._followed_at = float("-inf")
        self.failure: MatriarchError | None = None
        self._failing_since: float | None = None
        self._kube = kube
        self.namespace = namespace
        self._labels = labels
        self._on_change = on_change
        self._now = now
        self._backoff = tuple(backoff)
        self._list_timeout = list_timeout
        self._idle_timeout = idle_timeout
        self._objects: dict[Key, Object] = {}
        self.cache: Mapping[Key, Object] = MappingProxyType(self._objects)
        self.unseen: set[Key] = set()
        """What a listing showed to be gone: nobody saw it go, nor how it looked last."""
        self._position = ""  # the version to watch from; empty: list first
        self._reached = 0  # the highest version up to which everything was seen
        self._brought = False  # whether the present watch has brought anything
        self._healthy = False  # whether the last watch was no failure
        self._scope: asyncio.Timeout | None = None
        self._refreshed_at = float("-inf")

    @property
    def followed_since(self) -> float:
        """Since when nothing can have come and gone unseen, but for short breaks: now, in a longer time of failures."""
        return self._now() if self._failing_since is not None and self._lapsed() else self._followed_since

    async def run(self) -> None:
        """List, watch, and go on whenever a watch ends. Returns only by being cancelled."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(None) as scope:
                    self._scope = scope
                    pause = await self._attempt(failures)
                    failures = 1 if self._healthy else failures + 1
                    await asyncio.sleep(pause)
            except TimeoutError:
                if not scope.expired():
                    raise
                self._position = ""  # `refresh` ended it
                self._refreshed_at = asyncio.get_running_loop().time()
            finally:
                self._scope = None

    def put(self, item: Object) -> None:
        """Take over what an own write answered, ahead of the watch. The object must be one that this informer watches.

        Ignored when the copy is newer, or when the watch has passed this version already and the object is gone.
        """
        if _key(item) in self._objects or _version(item) > self._reached:
            self._take(item)

    def refresh(self) -> None:
        """Drop what is under way and list again: something (a 409) showed that the copy may be stale. At once, unless
        that was just done: the server may be stale itself."""
        self._position = ""
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(max(asyncio.get_running_loop().time(), self._refreshed_at + _REFRESH_S))

    async def _attempt(self, failures: int) -> float:
        """One list, unless the last watch ended cleanly, and one watch to its end. Answers how long to pause then."""
        self._brought = False
        began = self._now()
        pause = 0.0
        try:
            await self._list_and_watch()
        except MatriarchError as error:
            self.failure = error
            if self._failing_since is None:
                self._failing_since = self._now()
            if not isinstance(error, TransientError) or isinstance(error, Throttled):
                self.last_contact = self._now()
            if isinstance(error, Throttled):
                pause = error.retry_after_s
            self._position = ""
        self._healthy = self._now() - began >= (_WORKED_S if self._brought else _SETTLED_S)
        step = 0 if self._healthy else min(failures, len(self._backoff) - 1)
        return max(pause, self._backoff[step])

    async def _list_and_watch(self) -> None:
        if not self._position:
            timeout = self._list_timeout
            listing = await self._kube.list(self.kind, self.namespace, labels=self._labels, timeout=timeout)
            if self._lapsed():
                self._followed_since = self._now()
            self._seen()
            self._replace(listing)
            self.synced.set()
        stream = self._kube.watch(
            self.kind,
            self.namespace,
            labels=self._labels,
            version=self._position,
            idle_timeout=self._idle_timeout,
        )
        try:
            async for event in stream:
                self._brought = True
                self._seen()
                self._digest(event)
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    def _lapsed(self) -> bool:
        return self._now() - self._followed_at > _LAPSE_S

    def _seen(self) -> None:
        self.last_contact = self._followed_at = self._now()
        self.failure = self._failing_since = None

    def _replace(self, listing: Listing) -> None:
        """The list is the truth, except for own writes that are newer than it."""
        version = int(listing.version)
        # Versions never run backwards, unless the server's data was restored: nothing in the copy counts any more.
        restored = version < self._reached
        newest = float("inf") if restored else version
        listed = {_key(item): item for item in listing.items}
        for key, old in list(self._objects.items()):
            if key not in listed and _version(old) <= newest:
                del self._objects[key]
                self.unseen.add(key)
                self._on_change(old, None)
        for key, item in listed.items():
            if key in self._objects and _version(self._objects[key]) > newest:
                continue
            self._take(item, always=restored)
        self._position, self._reached = listing.version, version

    def _digest(self, event: WatchEvent) -> None:
        position = event.object["metadata"]["resourceVersion"]
        if event.type == "DELETED":
            key = _key(event.object)
            old = self._objects.get(key)
            if old is not None and _version(old) <= int(position):
                del self._objects[key]
                self._on_change(old, None)
        elif event.type != "BOOKMARK":
            self._take(event.object)
        self._position, self._reached = position, max(self._reached, int(position))

    def _take(self, item: Object, *, always: bool = False) -> None:
        key = _key(item)
        old = self._objects.get(key)
        if old is not None and not always and _version(item) <= _version(old):
            return
        self._objects[key] = item
        self.unseen.discard(key)
        if old is not None and old["metadata"]["uid"] != item["metadata"]["uid"]:
            self._on_change(old, None)
            old = None
        self._on_change(old, item)


def _key(item: Object) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])
