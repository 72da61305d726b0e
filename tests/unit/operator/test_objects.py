"""What the operator made stays as it was made, whatever people do to it; what is somebody else's is left alone."""

from __future__ import annotations

import pytest
from unit.operator.world import NAME, NAMESPACE, World

from matriarch.kube import api
from matriarch.words import labels

MADE = (
    api.SERVICE_ACCOUNTS,
    api.ROLES,
    api.ROLE_BINDINGS,
    api.SECRETS,
    api.ENDPOINTS,
    api.SERVICES,
    api.BUDGETS,
    api.STATEFUL_SETS,
)


async def test_whatever_is_deleted_comes_back(world: World) -> None:
    """Each object of each kind that a first look makes, one after the other."""
    made = [(kind, name) for kind in MADE for name in await world.everything(kind)]
    assert len(made) == 1 + 1 + 1 + 3 + 4 + 5 + 1 + 1
    for kind, name in made:
        await world.outside.delete(kind, NAMESPACE, name)
        await world.settle()
        assert name in await world.everything(kind), f"{kind.name} {name}"
        assert (await world.status())["phase"] == "Running"


async def test_everything_that_is_deleted_at_once_comes_back(world: World) -> None:
    made = {kind: set(await world.everything(kind)) for kind in MADE}
    for kind in MADE:
        for name in made[kind]:
            await world.outside.delete(kind, NAMESPACE, name)
    await world.settle()
    assert {kind: set(await world.everything(kind)) for kind in MADE} == made
    assert (await world.status())["phase"] == "Running"


async def test_what_somebody_changes_is_put_right(world: World) -> None:
    body = {"spec": {"selector": {"role": "primary"}}}
    await world.outside.patch(api.SERVICES, NAMESPACE, "demo-ro", body)
    await world.settle()
    found = (await world.everything(api.SERVICES))["demo-ro"]
    assert found["spec"]["selector"]["role"] == "replica"


@pytest.mark.parametrize("name", ["demo", "demo-config"])
async def test_nobody_gives_the_lock_a_selector(world: World, name: str) -> None:
    body = {"spec": {"selector": labels.cluster_labels(NAME)}}
    await world.outside.patch(api.SERVICES, NAMESPACE, name, body)
    await world.settle()
    assert "selector" not in (await world.everything(api.SERVICES))[name]["spec"]


async def test_another_update_strategy_goes_with_its_details(world: World) -> None:
    theirs = {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}}
    await world.outside.patch(api.STATEFUL_SETS, NAMESPACE, NAME, theirs)
    await world.settle()
    found = (await world.everything(api.STATEFUL_SETS))[NAME]["spec"]["updateStrategy"]
    assert found == {"type": "OnDelete"}


async def test_passwords_are_kept(world: World) -> None:
    before = (await world.everything(api.SECRETS))["demo-superuser"]
    world.start_operator()
    await world.apply(instances=2)
    await world.settle()
    assert (await world.everything(api.SECRETS))["demo-superuser"] == before


async def test_the_lock_belongs_to_the_members(world: World) -> None:
    before = (await world.everything(api.ENDPOINTS))["demo"]
    await world.apply(parameters={"work_mem": "8MB"}, instances=2)
    await world.settle()
    after = (await world.everything(api.ENDPOINTS))["demo"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


async def test_a_service_that_belongs_to_somebody_else_is_left_alone() -> None:
    world = World()
    theirs = {"metadata": {"name": "demo-ro", "namespace": NAMESPACE, "labels": {"app": "shop"}}, "spec": {}}
    world.server.store.seed(api.SERVICES, NAMESPACE, theirs)
    await world.apply()
    await world.settle()
    assert (await world.everything(api.SERVICES))["demo-ro"]["metadata"]["labels"] == {"app": "shop"}
    degraded = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    assert degraded["status"] == "True"
    assert "Service demo-ro belongs to somebody else" in degraded["message"]


def _of_another_cluster(name: str, cluster: str, annotations: dict[str, str]) -> api.Object:
    owner = {
        "apiVersion": "matriarch.dev/v1",
        "kind": "PostgresCluster",
        "name": cluster,
        "uid": "u",
        "controller": True,
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels.cluster_labels(cluster)}
    return {"metadata": metadata | {"ownerReferences": [owner], "annotations": annotations}}


@pytest.mark.parametrize(
    ("name", "other"),
    [("demo-config", "demo-config"), ("demo", "de"), ("demo-sync", "demo-sync"), ("demo-r", "demo-r")],
)
async def test_a_name_that_meets_another_clusters_makes_no_member_and_touches_nothing(name: str, other: str) -> None:
    """A cluster called `demo-config` keeps its lock where one called `demo` would keep its settings, and so on."""
    world = World()
    theirs = _of_another_cluster(name, other, {"leader": f"{other}-0"})
    world.server.store.seed(api.ENDPOINTS, NAMESPACE, theirs)
    world.server.store.seed(api.SERVICES, NAMESPACE, {**theirs, "spec": {}})
    before = (await world.everything(api.ENDPOINTS))[name], (await world.everything(api.SERVICES))[name]
    await world.apply()
    await world.settle()
    assert ((await world.everything(api.ENDPOINTS))[name], (await world.everything(api.SERVICES))[name]) == before
    assert await world.everything(api.STATEFUL_SETS) == {}
    degraded = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    assert f"{name} belongs to somebody else" in degraded["message"]
    assert "another name" in degraded["message"]


async def test_a_running_cluster_gets_its_pods_back_whatever_belongs_to_others(world: World) -> None:
    await world.outside.delete(api.SERVICES, NAMESPACE, "demo-ro")
    theirs = {"metadata": {"name": "demo-ro", "namespace": NAMESPACE, "labels": {"app": "shop"}}, "spec": {}}
    world.server.store.seed(api.SERVICES, NAMESPACE, theirs)
    await world.settle()
    await world.outside.delete(api.STATEFUL_SETS, NAMESPACE, NAME)
    await world.settle()
    assert NAME in await world.everything(api.STATEFUL_SETS)


async def test_a_secret_that_a_person_made_is_used_and_one_without_a_password_is_told() -> None:
    world = World()
    mine = {"metadata": {"name": "demo-app", "namespace": NAMESPACE}, "data": {"username": "YXBw"}}
    world.server.store.seed(api.SECRETS, NAMESPACE, mine)
    await world.apply()
    await world.settle()
    degraded = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    assert "Secret demo-app" in degraded["message"]
    assert "lacks password" in degraded["message"]
    whole = {"data": {"username": "YXBw", "password": "c2VjcmV0"}}
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", whole)
    await world.settle()
    assert (await world.everything(api.SECRETS))["demo-app"]["data"] == whole["data"]
    assert (await world.status())["phase"] == "Running"
