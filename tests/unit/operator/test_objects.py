"""What the operator made stays as it was made, whatever people do to it; what is somebody else's is left alone."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from unit.operator.world import NAME, NAMESPACE, World

from matriarch.kube import api
from matriarch.words import labels
from matriarch.words.errors import Forbidden

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


def forbid(monkeypatch: pytest.MonkeyPatch, world: World, verb: str, refused: api.Kind, why: str) -> None:
    """Have the API server refuse the operator, and nobody else, one verb on one kind."""
    allowed = getattr(type(world.kube), verb)

    async def judged(client: Any, kind: api.Kind, *given: Any, **named: Any) -> Any:
        if client is world.kube and kind is refused:
            raise Forbidden(why)
        return await allowed(client, kind, *given, **named)

    monkeypatch.setattr(type(world.kube), verb, judged)


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


@pytest.mark.parametrize("name", ["demo-app", "demo-superuser", "demo-replication"])
async def test_a_secret_that_a_person_made_is_made_anew_when_it_is_gone(name: str) -> None:
    """No watch tells of it, since it has no label of ours; a change of its own is not undone."""
    world = World()
    mine = {"username": _encoded("app"), "password": _encoded("mine"), "uri": _encoded("by hand")}
    world.server.store.seed(api.SECRETS, NAMESPACE, {"metadata": {"name": name, "namespace": NAMESPACE}, "data": mine})
    await world.apply()
    await world.settle()
    await world.outside.patch(api.SECRETS, NAMESPACE, name, {"data": {"password": _encoded("changed")}})
    await world.settle()
    kept = (await world.everything(api.SECRETS))[name]
    assert kept["data"] == mine | {"password": _encoded("changed")}
    await world.outside.delete(api.SECRETS, NAMESPACE, name)
    await world.settle()
    made = (await world.everything(api.SECRETS))[name]
    assert made["metadata"]["labels"].items() >= labels.cluster_labels(NAME).items()
    assert (await world.status())["phase"] == "Running"


async def test_a_secret_that_may_not_be_read_again_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    mine = {"username": _encoded("app"), "password": _encoded("mine")}
    metadata = {"name": "demo-app", "namespace": NAMESPACE}
    world.server.store.seed(api.SECRETS, NAMESPACE, {"metadata": metadata, "data": mine})
    await world.apply()
    await world.settle()
    forbid(monkeypatch, world, "get", api.SECRETS, "secrets is forbidden")
    await world.apply(instances=2)
    await world.settle()
    assert world.last_error is None
    assert (await world.status())["readyInstances"] == 2


@pytest.mark.parametrize("instances", [1, 2, 5])
async def test_the_disruption_budget_waits_as_its_stateful_set_does(world: World, instances: int) -> None:
    """The three that run go on as they are until the Secret is there: one of them may be evicted, and not none."""
    await world.apply(instances=instances, restApi={"tls": {"secretName": "shop-tls"}})
    await world.settle()
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1", "demo-2"}
    assert (await world.everything(api.BUDGETS))["demo"]["spec"]["minAvailable"] == 2
    progressing = {one["type"]: one for one in (await world.status())["conditions"]}["Progressing"]["message"]
    assert ("waits for what spec.restApi names" in progressing) is (instances < 3)
    keys = dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "")
    await world.outside.create(api.SECRETS, NAMESPACE, {"metadata": {"name": "shop-tls"}, "data": keys})
    await world.settle()
    budgets = await world.everything(api.BUDGETS)
    assert [one["spec"]["minAvailable"] for one in budgets.values()] == ([] if instances == 1 else [instances - 1])


@pytest.mark.parametrize("fewer", [1, 2])
async def test_the_disruption_budget_is_lowered_after_its_stateful_set(
    world: World, monkeypatch: pytest.MonkeyPatch, fewer: int
) -> None:
    with monkeypatch.context() as patched:
        forbid(patched, world, "apply", api.STATEFUL_SETS, "a policy of this namespace")
        await world.apply(instances=fewer)
        for _ in range(4):
            await world.look()
            await world.act()
        assert (await world.everything(api.BUDGETS))["demo"]["spec"]["minAvailable"] == 2
    world.now += timedelta(minutes=5)
    await world.settle()
    budgets = await world.everything(api.BUDGETS)
    assert [one["spec"]["minAvailable"] for one in budgets.values()] == ([] if fewer == 1 else [1])


@pytest.mark.parametrize("fewer", [1, 2])
async def test_the_disruption_budget_counts_the_members_that_are_still_needed(world: World, fewer: int) -> None:
    """Scaling down waits for a replica that stays, or for the primary's handover: all three are to be kept."""
    world.broken = {"demo-0", "demo-1"}
    await world.settle()
    await world.apply(instances=fewer)
    await world.settle()
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1", "demo-2"}
    assert (await world.everything(api.BUDGETS))["demo"]["spec"]["minAvailable"] == 2
    world.broken = set()
    await world.settle()
    budgets = await world.everything(api.BUDGETS)
    assert [one["spec"]["minAvailable"] for one in budgets.values()] == ([] if fewer == 1 else [1])


async def test_what_the_applications_secret_says_follows_the_password_in_it(world: World) -> None:
    before = (await world.everything(api.SECRETS))["demo-app"]["data"]
    changed = {"password": _encoded("p:a\\s s/@é\n"), "note": _encoded("of a person"), "host": _encoded("elsewhere")}
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", {"data": changed})
    await world.settle()
    after = (await world.everything(api.SECRETS))["demo-app"]["data"]
    assert {key: after[key] for key in ("password", "note")} == {key: changed[key] for key in ("password", "note")}
    assert {key: after[key] for key in ("username", "dbname", "host", "port")} == {
        key: before[key] for key in ("username", "dbname", "host", "port")
    }
    assert _decoded(after["uri"]) == "postgresql://app:p%3Aa%5Cs%20s%2F%40%C3%A9@demo.db.svc:5432/app"
    jdbc = "jdbc:postgresql://demo.db.svc:5432/app?user=app&password=p%3Aa%5Cs+s%2F%40%C3%A9"
    assert _decoded(after["jdbc-uri"]) == jdbc
    assert _decoded(after["pgpass"]) == "demo.db.svc:5432:app:app:p\\:a\\\\s s/@é\n"
    assert not await world.look()


async def test_another_user_or_database_of_a_persons_own_is_led_to(world: World) -> None:
    mine = {"username": _encoded("shop"), "dbname": _encoded("wares")}
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", {"data": mine})
    await world.settle()
    after = (await world.everything(api.SECRETS))["demo-app"]["data"]
    assert (after["username"], after["dbname"]) == (mine["username"], mine["dbname"])
    assert _decoded(after["uri"]).startswith("postgresql://shop:")
    assert _decoded(after["uri"]).endswith("@demo.db.svc:5432/wares")
    assert _decoded(after["pgpass"]).startswith("demo.db.svc:5432:wares:shop:")


@pytest.mark.parametrize("password", ["", "a\nb", b"\xff"])
async def test_a_password_that_cannot_be_spelled_changes_nothing(world: World, password: str | bytes) -> None:
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", {"data": {"password": _encoded(password)}})
    before = (await world.everything(api.SECRETS))["demo-app"]
    await world.settle()
    assert (await world.everything(api.SECRETS))["demo-app"] == before


async def test_no_password_is_told_of_when_a_secret_cannot_be_changed(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid(monkeypatch, world, "patch", api.SECRETS, "secrets is forbidden")
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", {"data": {"password": _encoded("hush-hush")}})
    for _ in range(3):
        await world.look()
    degraded = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    assert degraded["message"] == "patch Secret demo-app: secrets is forbidden"
    said = capsys.readouterr()
    assert "hush" not in said.out + said.err
    assert _encoded("hush-hush") not in said.out + said.err


async def test_a_secret_that_nobody_can_change_is_left_alone(world: World) -> None:
    fixed = {"immutable": True, "data": {"password": _encoded("fixed")}}
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", fixed)
    before = (await world.everything(api.SECRETS))["demo-app"]
    await world.settle()
    assert (await world.everything(api.SECRETS))["demo-app"] == before


def _encoded(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()
