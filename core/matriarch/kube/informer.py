"""A cache of one resource kind, kept by list and watch.

After every listing the cache is *replaced*: what vanished while nobody watched is reported as deleted. A failure
restarts this watch only; the cache stays as it was meanwhile, and `last_contact` tells how old it may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from matriarch.kube.api import Kind, Kube, Object, WatchEvent
from matriarch.words.errors import Gone, MatriarchError

Key = tuple[str, str]
OnChange = Callable[[Object | None, Object | None], None]
BACKOFF_S = (0.1, 0.2, 0.4, 0.8, 1.0)


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    metadata = obj["metadata"]
    return (metadata.get("namespace", ""), metadata["name"])


def _number(version: object) -> int:
    try:
        return int(str(version))
    except ValueError:
        return 0


class Informer:
    """`cache` maps (namespace, name) to the newest known object.

    `on_change(old, new)` is called for every change, synchronously; None stands for absence. `synced` is set after the
    first listing. `last_contact` is when the server last gave any sign, on `now`'s clock.
    """

    def __init__(
        self,
        kube: Kube,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        on_change: OnChange | None = None,
        *,
        now: Callable[[], float],
        backoff: Iterable[float] = BACKOFF_S,
    ) -> None:
        self._kube, self._kind, self._namespace, self._labels = kube, kind, namespace, labels
        self._on_change, self._now, self._backoff = on_change, now, tuple(backoff)
        self._objects: dict[Key, Object] = {}
        self._gone: dict[Key, int] = {}
        self._stream: asyncio.Task[None] | None = None
        self.cache: Mapping[Key, Object] = MappingProxyType(self._objects)
        self.synced = asyncio.Event()
        self.last_contact = -1e9

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._replace()
                failures = 0
                await self._follow(version)
            except Gone:
                continue
            except MatriarchError:
                await asyncio.sleep(self._backoff[min(failures, len(self._backoff) - 1)])
                failures += 1

    def put(self, obj: Object) -> None:
        """Enter the answer to a write of our own; ignored when the cache is newer."""
        self.last_contact = self._now()
        key, version = key_of(obj), _number(obj["metadata"].get("resourceVersion"))
        old = self._objects.get(key)
        if old is not None and _number(old["metadata"].get("resourceVersion")) >= version:
            return
        if self._gone.get(key, -1) >= version:
            return
        self._objects[key] = obj
        self._tell(old, obj)

    def refresh(self) -> None:
        """Drop the stream and list again: after a conflict the cache is suspect."""
        if self._stream is not None:
            self._stream.cancel()

    async def _replace(self) -> str:
        listing = await self._kube.list(self._kind, self._namespace, labels=self._labels)
        self.last_contact = self._now()
        found = {key_of(obj) for obj in listing.items}
        for obj in listing.items:
            self.put(obj)
        for key in [key for key in self._objects if key not in found]:
            if _number(self._objects[key]["metadata"].get("resourceVersion")) <= _number(listing.version):
                self._tell(self._objects.pop(key), None)
        self._gone.clear()
        self.synced.set()
        return listing.version

    async def _follow(self, version: str) -> None:
        self._stream = asyncio.create_task(self._watch(version), name=f"watch-{self._kind.plural}")
        try:
            await asyncio.wait({self._stream})
        finally:
            self._stream.cancel()
        if not self._stream.cancelled():
            self._stream.result()

    async def _watch(self, version: str) -> None:
        async for event in self._kube.watch(self._kind, self._namespace, labels=self._labels, version=version):
            self.last_contact = self._now()
            self._take(event)

    def _take(self, event: WatchEvent) -> None:
        if event.type == "BOOKMARK":
            return
        if event.type != "DELETED":
            self.put(event.object)
            return
        key, version = key_of(event.object), _number(event.object["metadata"].get("resourceVersion"))
        old = self._objects.get(key)
        if old is not None and _number(old["metadata"].get("resourceVersion")) <= version:
            del self._objects[key]
            self._gone[key] = version
            self._tell(old, None)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        if self._on_change is not None:
            self._on_change(old, new)
