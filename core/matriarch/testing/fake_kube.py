"""A Kubernetes API server in memory, with faults on demand. It implements the `Kube` port for tests and the simulator.

    server = FakeKubeServer(random.Random(seed))
    kube = server.client("demo-0")                  # one client per caller
    server.faults_for("demo-0").outage = True       # change faults while it runs

Everything waits with asyncio only, so it runs on virtual time; all randomness comes from the given generator, so a seed
replays exactly. Objects are handed out without copying: do not change what you were given.

Not here, since no caller depends on it: namespaces (any name exists), schemas and defaults, admission, quotas, RBAC
(see `ApiFaults.forbidden`), the controllers. A test that needs a kubelet or a scheduler plays it: `server.store.seed`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from matriarch.kube.api import JsonPatch, Kind, Listing, Object, PatchType, Propagation, WatchEvent
from matriarch.kube.paths import object_path
from matriarch.testing.fake_kube_faults import ApiFaults, Exchange
from matriarch.testing.fake_kube_patch import copy_json
from matriarch.testing.fake_kube_selectors import parse_selector
from matriarch.testing.fake_kube_store import Change, Store, Table
from matriarch.testing.fake_kube_watch import Feed, Selection, stream
from matriarch.words.errors import DeadlineSpent, Gone

T = TypeVar("T")
Observer = Callable[[Kind, Change], None]


class FakeKubeServer:
    """What all callers share. `calls` counts requests by (identity, verb, plural)."""

    def __init__(
        self,
        rng: random.Random | None = None,
        *,
        keep: int = 1000,
        guard: bool = False,
        bookmark_interval: float = 60.0,
    ) -> None:
        self.rng = rng or random.Random(0)
        self.store = Store(_loop_time, keep=keep, guard=guard)
        self.store.on_change = self._changed
        self.feed = Feed(self.store, self.rng, bookmark_interval)
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self._faults: dict[str, ApiFaults] = {}
        self._observers: list[Observer] = []

    def client(self, identity: str) -> FakeKubeClient:
        """A client for one caller."""
        return FakeKubeClient(self, identity)

    def faults_for(self, identity: str) -> ApiFaults:
        """The caller's faults, to be changed in place."""
        return self._faults.setdefault(identity, ApiFaults())

    def observe(self, observer: Observer) -> None:
        """Call `observer` at every change of the store, in the same step: the place for an invariant's check.

        It must not raise (that would look like a fault of the server to whoever wrote); let it note what is wrong.
        """
        self._observers.append(observer)

    def compact(self) -> None:
        """Forget the history: streams that have not read all of it, and those that start in the past, are Gone."""
        self.store.compact()
        self.feed.ring_all()

    def drop_streams(self, identity: str, *, cleanly: bool = False) -> None:
        """End the caller's open watches: with a reset, or `cleanly`, as a server does at its time limit."""
        self.feed.break_streams(identity, cleanly)

    def _changed(self, table: Table, change: Change) -> None:
        for observer in self._observers:
            observer(table.kind, change)
        self.feed.ring(table)


class FakeKubeClient:
    """One caller's `Kube`."""

    def __init__(self, server: FakeKubeServer, identity: str) -> None:
        self.server = server
        self.identity = identity
        self._store = server.store
        self._faults = server.faults_for(identity)

    async def get(self, kind: Kind, namespace: str, name: str, *, timeout: float = 10.0) -> Object:
        """See `Kube.get`."""
        namespace = _scope(kind, namespace, name)

        def step() -> Object:
            stale = self._faults.stale_s
            if stale > 0:
                return self._store.past_get(kind, namespace, name, stale)
            return self._store.get(kind, namespace, name)

        return await self._call("get", kind, step, timeout)

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "", timeout: float = 30.0) -> Listing:
        """See `Kube.list`."""

        def step() -> Listing:
            stale = self._faults.stale_s
            if stale > 0:
                return self._store.past_list(kind, namespace, labels, stale)
            return self._store.list(kind, namespace, labels)

        return await self._call("list", kind, step, timeout)

    async def create(self, kind: Kind, namespace: str, body: Object, *, timeout: float = 10.0) -> Object:
        """See `Kube.create`."""
        namespace, sent = _scope(kind, namespace), copy_json(body)
        return await self._call("create", kind, lambda: self._store.create(kind, namespace, sent), timeout)

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object | JsonPatch,
        *,
        patch_type: PatchType = "merge",
        subresource: str = "",
        timeout: float = 10.0,
    ) -> Object:
        """See `Kube.patch`."""
        namespace, sent = _scope(kind, namespace, name), copy_json(body)

        def step() -> Object:
            return self._store.patch(kind, namespace, name, sent, patch_type, subresource, self.identity)

        return await self._call("patch", kind, step, timeout)

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object,
        *,
        manager: str,
        force: bool = True,
        subresource: str = "",
        timeout: float = 10.0,
    ) -> Object:
        """See `Kube.apply`."""
        namespace, sent = _scope(kind, namespace, name), copy_json(body)

        def step() -> Object:
            return self._store.apply(kind, namespace, name, sent, manager, force, subresource)

        return await self._call("apply", kind, step, timeout)

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        propagation: Propagation = "Background",
        preconditions: Mapping[str, str] | None = None,
        grace_period_s: int | None = None,
        timeout: float = 10.0,
    ) -> None:
        """See `Kube.delete`."""
        namespace = _scope(kind, namespace, name)

        def step() -> None:
            self._store.delete(kind, namespace, name, propagation, preconditions, grace_period_s)

        await self._call("delete", kind, step, timeout)

    def watch(
        self, kind: Kind, namespace: str | None, *, labels: str = "", version: str, idle_timeout: float = 75.0
    ) -> AsyncGenerator[WatchEvent, None]:
        """See `Kube.watch`."""
        selection = Selection(kind, namespace, parse_selector(labels))

        async def start() -> int:
            return await self._call("watch", kind, lambda: self._start_watch(kind, version), min(10.0, idle_timeout))

        return stream(self.server.feed, self.identity, self._faults, selection, start, idle_timeout)

    def _start_watch(self, kind: Kind, version: str) -> int:
        if self._faults.gone > 0 and self.server.rng.random() < self._faults.gone:
            raise Gone("too old resource version")
        return self._store.position(kind, version)

    async def _call(self, verb: str, kind: Kind, step: Callable[[], T], timeout: float) -> T:
        self.server.calls[self.identity, verb, kind.plural] += 1
        writes = verb not in ("get", "list", "watch")
        exchange = Exchange(step, writes, self._faults, self.server.rng)
        exchange.send()
        if exchange.reply.done():
            error = exchange.reply.exception()
            await asyncio.sleep(0)
            if error is not None:
                raise error
            return exchange.reply.result()
        alarm = asyncio.get_running_loop().call_later(timeout, _give_up, exchange.reply, verb, kind, timeout)
        try:
            return await exchange.reply
        finally:
            alarm.cancel()


def _give_up(reply: asyncio.Future[Any], verb: str, kind: Kind, timeout: float) -> None:
    if not reply.done():
        reply.set_exception(DeadlineSpent(f"no answer to {verb} {kind.plural} within {timeout} s"))


@lru_cache(maxsize=4096)
def _scope(kind: Kind, namespace: str, name: str = "-") -> str:
    object_path(kind, namespace, name)  # the real client refuses names that would lead a path astray
    return namespace if kind.namespaced else ""


def _loop_time() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0  # a test that fills the store before its loop runs
