"""An error of the operator itself at one cluster: the others are served, and people are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from unit.operator.world import KEY, NAME, NAMESPACE, World

from matriarch.fleet.plan import Plan
from matriarch.fleet.view import ClusterView
from matriarch.kube import api
from matriarch_operator import reconcile
from matriarch_operator.metrics import REGISTRY


def _poisoned(decide: Callable[..., Plan]) -> Callable[..., Plan]:
    def poisoned(view: ClusterView, *given: Any) -> Plan:
        if view.name == NAME:
            raise RecursionError("with a password in it")
        return decide(view, *given)

    return poisoned


async def _worked(world: World) -> None:
    """A worker looks at what waits."""
    worker = asyncio.create_task(world.reconciler.work())
    for _ in range(300):
        await asyncio.sleep(0)
    ended = worker.done()
    worker.cancel()
    assert not ended


async def test_a_bug_at_one_cluster_leaves_the_others_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "decide", _poisoned(reconcile.decide))
    before = REGISTRY.get_sample_value("matriarch_operator_looks_total", {"outcome": "bug"}) or 0.0
    other = await world.cluster()
    body = {"apiVersion": other["apiVersion"], "kind": other["kind"], "spec": other["spec"]}
    metadata = {"name": "other", "namespace": NAMESPACE}
    world.store.put_cluster(await world.outside.create(api.CLUSTERS, NAMESPACE, body | {"metadata": metadata}))
    world.queue.add(KEY)
    world.queue.add((NAMESPACE, "other"))
    await _worked(world)
    finalizers = (await world.everything(api.CLUSTERS))["other"]["metadata"]["finalizers"]
    assert finalizers == ["matriarch.dev/cleanup"]
    assert REGISTRY.get_sample_value("matriarch_operator_looks_total", {"outcome": "bug"}) == before + 1
    status = await world.status()
    degraded = {one["type"]: one for one in status["conditions"]}["Degraded"]
    assert (degraded["status"], degraded["reason"]) == ("True", "OperatorError")
    assert status["primary"] == "demo-0", "what was known is kept"
    assert "OperatorError" in await world.events()
    assert not [one for one in (await world.everything(api.EVENTS)).values() if "password" in one["message"]]
    world.queue.add(KEY)
    assert len(world.queue) == 0, "it is tried again after a while"
    monkeypatch.undo()
    await world.settle()
    assert (await world.status())["phase"] == "Running"
    assert {one["type"]: one["status"] for one in (await world.status())["conditions"]}["Degraded"] == "False"


async def test_a_bug_that_cannot_be_told_is_one_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> api.Object:
        raise ZeroDivisionError

    monkeypatch.setattr(reconcile, "decide", _poisoned(reconcile.decide))
    monkeypatch.setattr(world.kube, "apply", broken)
    world.queue.add(KEY)
    await _worked(world)
