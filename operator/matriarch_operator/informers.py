"""Watches on everything that carries our label: one per kind, feeding the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from matriarch.kube.api import Kind, Kube, Object
from matriarch.kube.informer import Informer
from matriarch.words import labels
from matriarch.words.errors import Forbidden
from matriarch_operator.execute import CHILD_KINDS
from matriarch_operator.store import Store

REFUSAL_S = 0.05
"""Seconds between two looks for whether a listing was refused."""
SELECTOR = labels.selector({labels.APPLICATION: labels.APPLICATION_VALUE})


class Children:
    """The informers of all kinds, in each of `namespaces`; none named means all."""

    def __init__(self, kube: Kube, namespaces: Sequence[str], store: Store, now: Callable[[], float]) -> None:
        self._now = now
        self._born = now()
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._informers = [
            Informer(kube, kind, namespace, labels=SELECTOR, on_change=_feed(store, kind), now=now)
            for kind in CHILD_KINDS
            for namespace in self._namespaces
        ]

    async def run(self) -> None:
        """Watches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())

    def synced(self, namespace: str) -> bool:
        """Whether every kind was listed there: before it, what is missing is only what was not heard of yet."""
        return all(one.synced.is_set() for one in self._informers if one.namespace in (namespace, None))

    async def settled(self) -> None:
        """Waits until one namespace was listed, and each other one too, but for what may not be: a namespace that is
        gone holds up no other."""
        listings = [asyncio.create_task(self._listed(one)) for one in self._namespaces]
        try:
            await asyncio.wait(listings, return_when=asyncio.FIRST_COMPLETED)
            for informer in self._informers:
                while not informer.synced.is_set() and not isinstance(informer.failure, Forbidden):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(informer.synced.wait(), REFUSAL_S)
        finally:
            for listing in listings:
                listing.cancel()

    async def _listed(self, namespace: str | None) -> None:
        for informer in self._informers:
            if informer.namespace == namespace:
                await informer.synced.wait()

    def silence_s(self) -> float:
        """Seconds since the watch that is silent for longest gave its last sign."""
        return self._now() - max(self._born, min(informer.last_contact for informer in self._informers))


def _feed(store: Store, kind: Kind) -> Callable[[Object | None, Object | None], None]:
    def on_change(old: Object | None, new: Object | None) -> None:
        store.child_changed(kind, old, new)

    return on_change
