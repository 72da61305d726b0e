"""Watches on everything that carries our label: one per kind, feeding the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from matriarch.kube.api import Kind, Kube, Object
from matriarch.kube.informer import Informer
from matriarch.words import labels
from matriarch_operator.execute import CHILD_KINDS
from matriarch_operator.store import Store

SELECTOR = labels.selector({labels.APPLICATION: labels.APPLICATION_VALUE})


class Children:
    """The informers of all kinds, in each of `namespaces`; none named means all."""

    def __init__(self, kube: Kube, namespaces: Sequence[str], store: Store, now: Callable[[], float]) -> None:
        self._now = now
        self._born = now()
        self._informers = [
            Informer(kube, kind, namespace, labels=SELECTOR, on_change=_feed(store, kind), now=now)
            for kind in CHILD_KINDS
            for namespace in namespaces or (None,)
        ]

    async def run(self) -> None:
        """Watches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())

    async def synced(self) -> None:
        """Waits for every kind's first listing: before it, what is missing is only what was not heard of yet."""
        for informer in self._informers:
            await informer.synced.wait()

    def silence_s(self) -> float:
        """Seconds since the watch that is silent for longest gave its last sign."""
        return self._now() - max(self._born, min(informer.last_contact for informer in self._informers))


def _feed(store: Store, kind: Kind) -> Callable[[Object | None, Object | None], None]:
    def on_change(old: Object | None, new: Object | None) -> None:
        store.child_changed(kind, old, new)

    return on_change
