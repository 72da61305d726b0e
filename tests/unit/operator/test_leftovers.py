"""What is there before the cluster is: the lock of an earlier one goes, settings laid down for this one stay."""

from __future__ import annotations

import json

import pytest
from unit.operator.world import NAME, NAMESPACE, World

from matriarch.kube import api
from matriarch.words import labels


def lay_down(world: World, name: str, annotations: dict[str, str]) -> None:
    """An Endpoints object with the cluster's labels, long before the cluster."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels.cluster_labels(NAME)}
    world.server.store.seed(api.ENDPOINTS, NAMESPACE, {"metadata": metadata | {"annotations": annotations}})


async def begun_later(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, api.Object]:
    """The Endpoints objects of the cluster, once it runs."""
    monkeypatch.setattr(world.server.store, "_timestamp", lambda: "2099-01-01T00:00:00Z")
    await world.apply()
    await world.settle()
    return await world.everything(api.ENDPOINTS)


async def test_a_stale_lock_of_an_earlier_cluster_is_removed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    lay_down(world, "demo", {"leader": "demo-9"})
    lay_down(world, "demo-sync", {"leader": "demo-9"})
    lock = (await begun_later(world, monkeypatch))["demo"]["metadata"]
    assert lock["annotations"]["leader"] == "demo-0"
    assert lock["ownerReferences"][0]["kind"] == "PostgresCluster"


@pytest.mark.parametrize("earlier", [False, True])
async def test_settings_laid_down_for_this_cluster_are_kept(monkeypatch: pytest.MonkeyPatch, earlier: bool) -> None:
    """How the first member begins can only be said there. Those of an earlier cluster have its `initialize`."""
    world = World()
    mark = {"initialize": "7000000000000000009"} if earlier else {}
    lay_down(world, "demo-config", {"config": json.dumps({"bootstrap": {"method": "ours"}}), **mark})
    found = (await begun_later(world, monkeypatch))["demo-config"]["metadata"]["annotations"]
    assert ("bootstrap" in json.loads(found["config"])) is not earlier
