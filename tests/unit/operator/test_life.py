"""A cluster's life, with the operator's real code: made, changed, grown, shrunk, rolled, deleted."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from unit.operator.world import KEY, NAME, NAMESPACE, World

from matriarch.fleet.plan import decide
from matriarch.kube import api
from matriarch.testing.fake_kube_store import Change
from matriarch.words import labels, names
from matriarch.words.errors import Forbidden


async def test_everything_is_made_and_then_comes_to_rest(world: World) -> None:
    assert set(await world.everything(api.SERVICES)) == {"demo", "demo-ro", "demo-r", "demo-pods", "demo-config"}
    assert set(await world.everything(api.SECRETS)) == {"demo-app", "demo-superuser", "demo-replication"}
    assert set(await world.everything(api.ENDPOINTS)) == {"demo", "demo-config", "demo-failover", "demo-sync"}
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1", "demo-2"}
    assert set(await world.everything(api.BUDGETS)) == {"demo"}
    status = await world.status()
    assert status["phase"] == "Running"
    assert (status["primary"], status["instances"], status["readyInstances"]) == ("demo-0", 3, 3)
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "True",
        "Progressing": "False",
        "Degraded": "False",
    }
    assert await world.events() == ["Created", "PrimaryElected", "Ready"]
    assert not await world.look(), "an executed plan must lead to an empty plan"


async def test_the_fixpoint_holds_for_a_new_process(world: World) -> None:
    world.start_operator()
    assert not await world.look()
    view = world.reconciler._observe(KEY)
    assert view is not None
    assert decide(view).empty


async def test_settings_follow_the_spec_and_keep_what_others_set(world: World) -> None:
    await _set_config(world, lambda config: config | {"maximum_lag_on_syncnode": 5})
    await world.apply(parameters={"work_mem": "8MB"}, failover={"ttl": 12}, synchronous={"mode": "off"})
    await world.settle()
    config = await _config(world)
    assert config["postgresql"]["parameters"] == {"work_mem": "8MB"}
    assert (config["ttl"], config["synchronous_mode"], config["maximum_lag_on_syncnode"]) == (12, False, 5)
    annotations = (await world.everything(api.ENDPOINTS))["demo-config"]["metadata"]["annotations"]
    assert annotations["initialize"] == "7591234567890123456"


async def test_a_switchover_by_annotation(world: World) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    await world.settle()
    status = await world.status()
    assert status["primary"] == "demo-2"
    last = status["lastSwitchover"]
    assert (last["from"], last["to"], last["outcome"]) == ("demo-0", "demo-2", "Succeeded")
    assert labels.REQUEST_SWITCHOVER not in (await world.cluster())["metadata"].get("annotations", {})
    assert "SwitchoverSucceeded" in await world.events()


async def test_a_wish_that_comes_while_another_is_carried_out_is_next(world: World) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-1")
    await world.look()
    assert (await world.status())["lastSwitchover"]["outcome"] == "Pending"
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    await world.settle()
    assert world.switchovers[-2:] == [("demo-0", "demo-1"), ("demo-1", "demo-2")]
    assert labels.REQUEST_SWITCHOVER not in (await world.cluster())["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("demo-0", "is the primary already"),
        ("demo-7", "there is no member"),
        ("x\n'; drop", "there is no member"),
        ("demo-1", "is not a ready, streaming replica"),
    ],
)
async def test_a_switchover_that_cannot_be_is_refused_with_the_reason(world: World, target: str, reason: str) -> None:
    world.broken = {"demo-1"}
    await world.settle()
    await world.annotate(labels.REQUEST_SWITCHOVER, target)
    await world.settle()
    last = (await world.status())["lastSwitchover"]
    assert last["outcome"] == "Refused"
    assert reason in last["message"]
    assert labels.REQUEST_SWITCHOVER not in (await world.cluster())["metadata"].get("annotations", {})
    assert "SwitchoverRefused" in await world.events()
    assert world.switchovers == [("", "demo-0")]


async def test_a_switchover_that_the_primary_gives_back_is_refused(world: World) -> None:
    world.refusing = True
    await world.annotate(labels.REQUEST_SWITCHOVER, "any")
    await world.settle()
    assert (await world.status())["lastSwitchover"]["outcome"] == "Refused"


@pytest.mark.parametrize("killed_after", range(1, 9))
async def test_a_switchover_survives_a_new_operator_and_happens_once(world: World, killed_after: int) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "any")
    for _ in range(killed_after):
        await world.look()
        if killed_after % 2:
            await world.act()
    world.start_operator()
    await world.settle()
    assert (await world.status())["lastSwitchover"]["outcome"] == "Succeeded"
    assert len(world.switchovers) == 2


async def test_a_rolling_update_goes_replicas_first_and_hands_over_once(world: World) -> None:
    order: list[str] = []
    world.server.observe(
        lambda kind, change: (
            order.append(change.object["metadata"]["name"]) if kind.name == "Pod" and change.type == "DELETED" else None
        )
    )
    await world.apply(image="matriarch/postgres:new")
    await world.settle()
    assert sorted(order) == ["demo-0", "demo-1", "demo-2"]
    assert order[-1] == "demo-0"
    assert len(world.switchovers) == 2
    pods = await world.everything(api.PODS)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {"matriarch/postgres:new"}
    assert (await world.status())["phase"] == "Running"


@pytest.mark.parametrize("killed_after", range(1, 12))
async def test_a_rolling_update_goes_on_after_the_operator_was_killed(world: World, killed_after: int) -> None:
    await world.apply(image="matriarch/postgres:new")
    for _ in range(killed_after):
        await world.look()
        await world.act()
    world.start_operator()
    await world.settle()
    pods = await world.everything(api.PODS)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {"matriarch/postgres:new"}
    assert len(world.switchovers) == 2


async def test_paused_means_no_pod_is_replaced(world: World) -> None:
    await world.apply(image="matriarch/postgres:new", paused=True)
    await world.settle()
    pods = await world.everything(api.PODS)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {"matriarch/postgres:test"}
    assert (await _config(world))["pause"] is True
    await world.apply(paused=False)
    await world.settle()
    assert "pause" not in await _config(world)


async def test_scaling_up_and_down_keeps_or_removes_volumes(world: World) -> None:
    await world.apply(instances=5)
    await world.settle()
    assert len(await world.everything(api.PODS)) == 5
    assert (await world.everything(api.BUDGETS))["demo"]["spec"]["minAvailable"] == 4
    await world.apply(instances=2)
    await world.settle()
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1"}
    assert len(await world.everything(api.CLAIMS)) == 5
    await world.apply(storage={"reclaimPolicy": "Delete"})
    await world.settle()
    assert set(await world.everything(api.CLAIMS)) == {"data-demo-0", "data-demo-1"}
    await world.apply(instances=1)
    await world.settle()
    assert await world.everything(api.BUDGETS) == {}


async def test_a_primary_that_is_scaled_away_hands_over_first(world: World) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    await world.settle()
    gone: list[tuple[str, str]] = []

    def watch(kind: api.Kind, change: Change) -> None:
        found = change.object
        if kind.name == "Pod" and change.type == "DELETED":
            gone.append((found["metadata"]["name"], found["metadata"]["labels"][labels.ROLE]))

    world.server.observe(watch)
    await world.apply(instances=2)
    await world.settle()
    assert gone == [("demo-2", "replica")]
    assert (await world.status())["lastSwitchover"]["requestedBy"] == "scaling"


async def test_a_request_waits_for_the_end_of_another_one(world: World) -> None:
    """After a switchover the new primary takes a moment to clear the failover object: nothing is refused for that."""
    await _request(world, {"leader": "demo-0", "member": "demo-1"})
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    for _ in range(3):
        await world.look()
    assert world.wake == 1.0, "it looks again soon"
    taken = {"metadata": {"annotations": {"leader": None, "member": None}}}
    await world.outside.patch(api.ENDPOINTS, NAMESPACE, names.failover_object(NAME), taken)
    await world.settle()
    assert "SwitchoverRefused" not in await world.events()
    assert world.switchovers == [("", "demo-0"), ("demo-0", "demo-2")]


async def test_a_request_does_not_wait_for_a_scheduled_one_nor_take_its_place(world: World) -> None:
    scheduled = {"leader": "demo-0", "member": "demo-1", "scheduled_at": "2026-02-03T04:05:06+00:00"}
    await _request(world, scheduled)
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    for _ in range(3):
        await world.look()
    assert "scheduled for 2026-02-03T04:05:06+00:00" in (await world.status())["lastSwitchover"]["message"]
    asked = (await world.everything(api.ENDPOINTS))["demo-failover"]["metadata"]["annotations"]
    assert scheduled.items() <= asked.items()


async def test_a_request_waits_for_another_one_no_longer_than_three_minutes(world: World) -> None:
    await _request(world, {"leader": "demo-0", "member": "demo-1"})
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    for _ in range(70):
        await world.look()
        world.now += timedelta(seconds=3)
    last = (await world.status())["lastSwitchover"]
    assert (last["outcome"], last["message"]) == ("Refused", "another request is pending in the failover object")


async def test_a_request_that_waits_is_dropped_with_its_annotation(world: World) -> None:
    await _request(world, {"leader": "demo-0", "member": "demo-1"})
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    for _ in range(3):
        await world.look()
    await world.annotate(labels.REQUEST_SWITCHOVER, None)
    await world.look()
    last = (await world.status())["lastSwitchover"]
    assert (last["outcome"], last["message"]) == (
        "Refused",
        "the annotation was taken away before anything was done",
    )
    await world.settle()
    assert world.switchovers == [("", "demo-0"), ("demo-0", "demo-1")], "only what somebody else asked for"


async def test_a_request_that_the_members_have_goes_on_without_its_annotation(world: World) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    for _ in range(2):
        await world.look()
    await world.annotate(labels.REQUEST_SWITCHOVER, None)
    await world.settle()
    assert (await world.status())["lastSwitchover"]["outcome"] == "Succeeded"


async def test_volumes_grow(world: World) -> None:
    await world.apply(storage={"size": "2Gi"})
    await world.settle()
    claims = await world.everything(api.CLAIMS)
    assert {one["spec"]["resources"]["requests"]["storage"] for one in claims.values()} == {"2Gi"}
    assert (await world.everything(api.STATEFUL_SETS))["demo"]["spec"]["volumeClaimTemplates"][0]["spec"][
        "resources"
    ] == {"requests": {"storage": "1Gi"}}


async def test_volumes_grow_although_nobody_is_well(world: World) -> None:
    """A disk that is full is what a larger volume is to cure: it waits for no healthy member and no procedure."""
    world.broken = {"demo-0", "demo-1", "demo-2"}
    await world.act()
    await world.apply(storage={"size": "2Gi"}, image="matriarch/postgres:new")
    for _ in range(3):
        await world.look()
        await world.act()
    claims = await world.everything(api.CLAIMS)
    assert {one["spec"]["resources"]["requests"]["storage"] for one in claims.values()} == {"2Gi"}
    assert (await world.status())["phase"] != "Running"


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [("100", "200", "demo-1"), ("200", "100", "demo-0")],
)
async def test_restarts_raise_on_replicas_first_and_lower_on_the_primary_first(
    world: World, old: str, new: str, first: str
) -> None:
    reason = {"max_connections": {"old_value": old, "new_value": new}}
    world.pending = dict.fromkeys(("demo-0", "demo-1", "demo-2"), reason)
    await world.apply(parameters={"max_connections": new})
    await world.settle()
    assert sorted(world.restarted) == ["demo-0", "demo-1", "demo-2"]
    assert (await world.events()).count("RestartedPostgres") == 3
    assert world.restarted[0] == first
    if first != "demo-0":
        assert world.restarted[-1] == "demo-0"


async def test_deleting_keeps_data_and_credentials_by_default(world: World) -> None:
    await world.outside.delete(api.CLUSTERS, NAMESPACE, NAME)
    await world.settle()
    assert await world.everything(api.CLUSTERS) == {}
    assert await world.everything(api.PODS) == {}
    assert await world.everything(api.ENDPOINTS) == {}
    assert await world.everything(api.SERVICES) == {}
    assert len(await world.everything(api.CLAIMS)) == 3
    assert len(await world.everything(api.SECRETS)) == 3


async def test_deleting_removes_everything_when_told_so() -> None:
    world = World()
    await world.apply(storage={"size": "1Gi", "reclaimPolicy": "Delete"})
    await world.settle()
    await world.outside.delete(api.CLUSTERS, NAMESPACE, NAME)
    await world.settle()
    assert await world.everything(api.CLAIMS) == {}
    assert await world.everything(api.SECRETS) == {}


async def test_lock_objects_go_after_the_last_pod(world: World) -> None:
    seen: list[str] = []
    world.server.observe(
        lambda kind, change: (
            seen.append(kind.name) if change.type == "DELETED" and kind.name in ("Pod", "Endpoints") else None
        )
    )
    await world.outside.delete(api.CLUSTERS, NAMESPACE, NAME)
    await world.settle()
    assert seen == ["Pod"] * 3 + ["Endpoints"] * 4


async def test_a_spec_that_cannot_be_read_leaves_the_cluster_as_it_is(world: World) -> None:
    pods = await world.everything(api.PODS)
    await world.apply(instances="many", image="matriarch/postgres:new")
    await world.settle()
    assert set(await world.everything(api.PODS)) == set(pods)
    status = await world.status()
    assert status["phase"] == "Invalid"
    assert status["primary"] == "demo-0"
    assert "instances" in {one["type"]: one for one in status["conditions"]}["Degraded"]["message"]
    assert "InvalidSpec" in await world.events()


async def test_a_refusal_is_told_in_status(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = world.kube.patch

    async def patch(kind: api.Kind, *given: Any, **named: Any) -> api.Object:
        if kind is api.CLAIMS:
            raise Forbidden("persistentvolumeclaims data-demo-0: the StorageClass does not allow volumes to grow")
        return await allowed(kind, *given, **named)

    monkeypatch.setattr(world.kube, "patch", patch)
    await world.apply(storage={"size": "2Gi"})
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-1")
    await world.settle()
    status = await world.status()
    degraded = {one["type"]: one for one in status["conditions"]}["Degraded"]
    assert degraded["status"] == "True"
    assert "does not allow volumes to grow" in degraded["message"]
    assert status["primary"] == "demo-1", "what was refused holds up nothing else"
    monkeypatch.undo()
    await world.settle()
    assert (await world.status())["phase"] == "Running"


async def test_a_process_that_lost_the_election_writes_nothing(world: World) -> None:
    world.leading = False
    await world.apply(instances=5)
    assert not await world.look()


async def _config(world: World) -> dict[str, Any]:
    text = (await world.everything(api.ENDPOINTS))[names.config_object(NAME)]["metadata"]["annotations"]["config"]
    found: dict[str, Any] = json.loads(text)
    return found


async def _request(world: World, asked: dict[str, str]) -> None:
    """What patronictl writes into the failover object."""
    body = {"metadata": {"annotations": asked}}
    await world.outside.patch(api.ENDPOINTS, NAMESPACE, names.failover_object(NAME), body)


async def _set_config(world: World, change) -> None:  # type: ignore[no-untyped-def]
    text = json.dumps(change(await _config(world)))
    body = {"metadata": {"annotations": {"config": text}}}
    await world.outside.patch(api.ENDPOINTS, NAMESPACE, names.config_object(NAME), body)
