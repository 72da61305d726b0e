"""One of several watched namespaces is gone, with the operator's rights in it: the others are served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from matriarch.fleet.actions import Restart
from matriarch.kube import api
from matriarch.kube.api import Kind, Listing, Object
from matriarch.testing.fake_kube import FakeKubeClient, FakeKubeServer
from matriarch.testing.virtual_time import run
from matriarch.words.errors import Forbidden, NotFound
from matriarch_operator import __main__ as program
from matriarch_operator.app import RETRY_S, VERIFY_S, App, Options, Rewound


class _Partial(FakeKubeClient):
    """A client whose rights do not reach everywhere."""

    def __init__(self, server: FakeKubeServer) -> None:
        super().__init__(server, "operator")
        self.denied: set[tuple[str | None, str]] = set()
        """Namespace and kind."""

    async def list(self, kind: Kind, namespace: str | None, **named: Any) -> Listing:
        if (namespace, kind.name) in self.denied or (namespace, "*") in self.denied:
            raise Forbidden(f"403 Forbidden: {kind.plural} in the namespace {namespace}")
        return await super().list(kind, namespace, **named)


class _Nobody:
    async def restart(self, namespace: str, wanted: Restart) -> None:
        raise AssertionError


def _cluster(namespace: str) -> Object:
    metadata = {"name": "demo", "namespace": namespace}
    spec = {"storage": {"size": "1Gi"}}
    return {"apiVersion": "matriarch.dev/v1", "kind": "PostgresCluster", "metadata": metadata, "spec": spec}


async def _made(kube: FakeKubeClient, namespace: str) -> bool:
    try:
        await kube.get(api.STATEFUL_SETS, namespace, "demo")
    except NotFound:
        return False
    return True


class _Restored(FakeKubeClient):
    """A client of an API server whose data may be set back."""

    back = 0

    async def list(self, kind: Kind, namespace: str | None, **named: Any) -> Listing:
        found = await super().list(kind, namespace, **named)
        return Listing(found.items, str(int(found.version) - self.back))


def test_an_operator_that_has_seen_more_than_the_api_server_knows_starts_anew() -> None:
    """Newer versions win: after a restore of etcd it would not believe anything that it is told."""

    async def story() -> None:
        server = FakeKubeServer()
        await server.client("person").create(api.CLUSTERS, "a", _cluster("a"))
        kube = _Restored(server, "operator")
        app = App(kube, Options(("a",), "system", "operator-0", "pg:test"), _Nobody())
        await app.election.acquire()
        holding, work = (asyncio.create_task(one) for one in (app.election.hold(), app.run()))
        await asyncio.sleep(3 * VERIFY_S)
        assert not work.done()
        kube.back = 1000
        await asyncio.wait((work,), timeout=2 * VERIFY_S)
        holding.cancel()
        with pytest.raises(ExceptionGroup) as ended:
            await work
        assert isinstance(ended.value.exceptions[0], Rewound)

    run(story())


@asynccontextmanager
async def _operator(*denied: tuple[str, str]) -> AsyncIterator[tuple[App, _Partial]]:
    server = FakeKubeServer()
    person = server.client("person")
    for namespace in ("a", "b"):
        await person.create(api.CLUSTERS, namespace, _cluster(namespace))
    kube = _Partial(server)
    kube.denied = set(denied)
    app = App(kube, Options(("a", "b"), "system", "operator-0", "pg:test"), _Nobody())
    await app.election.acquire()
    tasks = [asyncio.create_task(one) for one in (app.election.hold(), app.run())]
    try:
        yield app, kube
    finally:
        for task in tasks:
            assert not task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def test_what_can_be_served_is_and_the_rest_once_it_can() -> None:
    async def story() -> None:
        async with _operator(("b", "*")) as (app, kube):
            await asyncio.sleep(5)
            assert app.health.started
            assert (await _made(kube, "a"), await _made(kube, "b")) == (True, False)
            kube.denied.clear()
            await asyncio.sleep(RETRY_S + 5)
            assert await _made(kube, "b")
            assert app.returned.is_set()

    run(story())


def test_nothing_is_concluded_from_a_namespace_that_is_known_in_part() -> None:
    async def story() -> None:
        async with _operator(("b", "Pod")) as (_, kube):
            await asyncio.sleep(30)
            assert (await _made(kube, "a"), await _made(kube, "b")) == (True, False)
            kube.denied.clear()
            await asyncio.sleep(10)
            assert await _made(kube, "b")

    run(story())


def test_a_namespace_that_goes_away_holds_up_no_check_of_the_others() -> None:
    async def story() -> None:
        async with _operator() as (app, kube):
            await asyncio.sleep(5)
            kube.denied = {("b", "*")}
            await kube.server.client("person").create(
                api.CLUSTERS, "a", _cluster("a") | {"metadata": {"name": "second", "namespace": "a"}}
            )
            await asyncio.sleep(70)
            assert set(app.store.clusters) == {("a", "demo"), ("a", "second"), ("b", "demo")}

    run(story())


def test_nothing_that_can_be_served_is_not_ready() -> None:
    async def story() -> None:
        async with _operator(("a", "*"), ("b", "Pod")) as (app, kube):
            await asyncio.sleep(30)
            assert not app.health.started
            kube.denied.clear()
            await asyncio.sleep(5)
            assert app.health.started

    run(story())


@pytest.mark.parametrize("namespaces", [("a",), ("a", "b"), ("b", "a"), ()], ids=["one", "two", "turned", "all"])
async def test_rights_that_come_back_bring_the_watch_back(namespaces: tuple[str, ...]) -> None:
    """kopf has given the namespace up: without a new watch nobody would hear of what people ask for."""
    server = FakeKubeServer()
    for namespace in ("a", "b"):
        await server.client("person").create(api.CLUSTERS, namespace, _cluster(namespace))
    kube = _Partial(server)
    app = App(kube, Options(namespaces, "system", "operator-0", "pg:test"), _Nobody())
    await app._list()
    known = set(app.store.clusters)
    kube.denied = {(namespace, "*") for namespace in namespaces or (None,)}
    with pytest.raises(Forbidden):
        await app._list()
    assert set(app.store.clusters) == known
    assert not app.returned.is_set()
    kube.denied.clear()
    await app._list()
    assert app.returned.is_set()


@pytest.mark.parametrize("namespaces", [("a", "b"), ("b", "a")])
async def test_each_namespace_is_listed_whatever_became_of_the_one_before(namespaces: tuple[str, ...]) -> None:
    server = FakeKubeServer()
    await server.client("person").create(api.CLUSTERS, "a", _cluster("a"))
    kube = _Partial(server)
    app = App(kube, Options(namespaces, "system", "operator-0", "pg:test"), _Nobody())
    kube.denied = {("a", "*")}
    await app._list()
    kube.denied = {("b", "*")}
    await app._list()
    assert set(app.store.clusters) == {("a", "demo")}


async def test_the_watch_begins_anew_when_a_namespace_has_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, ...]] = []

    class Watch:
        def __init__(self, _: object, namespaces: tuple[str, ...], __: object) -> None:
            begun.append(namespaces)

        async def run(self) -> None:
            if len(begun) == 3:
                raise ZeroDivisionError
            await asyncio.Event().wait()

    monkeypatch.setattr(program, "ClusterWatch", Watch)
    app = App(FakeKubeServer().client("operator"), Options(("a", "b"), "system", "operator-0", "pg:test"), _Nobody())
    watch = asyncio.create_task(program._watch(app, lambda _: pytest.fail("no login is needed")))
    for number in (1, 2, 3):
        await asyncio.sleep(0.01)
        assert begun == [("a", "b")] * number
        app.returned.set()
    with pytest.raises(ZeroDivisionError):
        await watch
