"""All that kopf does here: it tells of every change of a PostgresCluster, which goes into the store and wakes its key.

kopf has a thread with an event loop of its own. In a shared loop it takes every task that was made after its start for
one of its own that hangs, and waits five seconds for it at the end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from matriarch.kube.api import Object
from matriarch_operator import settings
from matriarch_operator.store import Store

Login = Callable[[kopf.OperatorSettings], kopf.ConnectionInfo]
"""Gives credentials anew whenever kopf asks."""


class ClusterWatch:
    """Feeds the store from kopf. No `namespaces` means all of them."""

    def __init__(self, store: Store, namespaces: Sequence[str], login: Login) -> None:
        self._store = store
        self._namespaces = namespaces
        self._login = login
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()

    async def run(self) -> None:
        """Runs until cancelled, or until kopf gives up; then raises what it ended with."""
        ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._thread, args=(ended,), name="kopf", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            self._stop.set()

    def _thread(self, ended: asyncio.Future[None]) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._kopf())
        except BaseException as raised:  # noqa: BLE001 - the thread's top frame; it is raised again in `run`
            error = raised
        self._call(_settle, ended, error)

    async def _kopf(self) -> None:
        configured = kopf.OperatorSettings()
        settings.apply(configured)
        await kopf.operator(
            registry=self._registry(configured),
            settings=configured,
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
            stop_flag=self._stop,
        )

    def _registry(self, configured: kopf.OperatorSettings) -> kopf.OperatorRegistry:
        found = kopf.OperatorRegistry()

        @kopf.on.login(registry=found)
        async def give_credentials(**_: Any) -> kopf.ConnectionInfo:
            return self._login(configured)

        @kopf.on.event("matriarch.dev", "v1", "postgresclusters", registry=found)
        async def seen(event: kopf.RawEvent, **_: Any) -> None:
            self._call(self._put, event["type"] == "DELETED", dict(event["object"]))

        return found

    def _put(self, deleted: bool, resource: Object) -> None:
        if deleted:
            # kopf tells of each uid on its own: this may come after the first sign of one that was made anew.
            metadata = resource["metadata"]
            self._store.drop_cluster((metadata["namespace"], metadata["name"]), metadata["uid"])
        else:
            self._store.put_cluster(resource)

    def _call(self, function: Callable[..., None], *given: Any) -> None:
        """Into the operator's own loop, unless that has ended."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *given)


def _settle(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
