"""What fails or is refused: it is told, it is tried again less and less often, and it holds up nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from unit.operator.world import NAME, NAMESPACE, World

from matriarch.fleet.stages.kept import LAST_SYNC
from matriarch.kube import api
from matriarch.words import labels, names
from matriarch.words.errors import ConflictError, Forbidden, MatriarchError, Unavailable

WIDER = {"max_connections": {"old_value": "100", "new_value": "200"}}


async def _degraded(world: World) -> dict[str, Any]:
    conditions = {one["type"]: one for one in (await world.status())["conditions"]}
    found: dict[str, Any] = conditions["Degraded"]
    return found


async def _turns(world: World, count: int) -> None:
    for _ in range(count):
        await world.look()
        await world.act()
        world.now += timedelta(seconds=1)


def _failing(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: api.Kind, error: MatriarchError, part: str = ""
) -> list[str]:
    """Every patch of this kind fails, or of this part of it; returns the names that were tried."""
    allowed, tried = world.kube.patch, list[str]()

    async def patch(given: api.Kind, namespace: str, name: str, body: Any, *rest: Any, **named: Any) -> api.Object:
        if given is kind and (not part or part in body):
            tried.append(name)
            raise error
        return await allowed(given, namespace, name, body, *rest, **named)

    monkeypatch.setattr(world.kube, "patch", patch)
    return tried


@pytest.mark.parametrize(
    "error", [Forbidden("answered 403: Access is denied"), Unavailable("no route"), ConflictError("answered 503: no")]
)
async def test_a_restart_that_fails_is_told_and_holds_up_neither_status_nor_volumes(
    world: World, error: MatriarchError
) -> None:
    world.unwilling = error
    world.pending = dict.fromkeys(("demo-0", "demo-1", "demo-2"), WIDER)
    await world.apply(parameters={"max_connections": "200"}, storage={"size": "2Gi"})
    await _turns(world, 20)
    degraded = await _degraded(world)
    assert (degraded["status"], degraded["message"]) == ("True", f"restart demo-1: {error}")
    assert "NeedsAttention" in await world.events()
    assert "RestartedPostgres" not in await world.events()
    claims = await world.everything(api.CLAIMS)
    assert {one["spec"]["resources"]["requests"]["storage"] for one in claims.values()} == {"2Gi"}
    world.broken = {"demo-0"}
    await _turns(world, 3)
    assert (await world.status())["primary"] == "demo-1"
    world.broken, world.unwilling = set(), None
    await world.settle(200)
    assert (await world.status())["phase"] == "Running"
    assert (await world.events()).count("RestartedPostgres") == 3


async def test_a_restart_that_fails_is_asked_for_less_and_less_often_and_told_once(world: World) -> None:
    world.unwilling = Forbidden("answered 403: Access is denied")
    world.pending = {"demo-1": WIDER}
    await _turns(world, 120)
    assert 4 <= world.asked <= 10
    found = [one for one in (await world.everything(api.EVENTS)).values() if one["reason"] == "NeedsAttention"]
    assert [one["count"] for one in found] == [1], "the next attempt is no cure yet"


async def test_a_refused_growth_is_tried_less_and_less_often_until_a_person_changes_something(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = _failing(world, monkeypatch, api.CLAIMS, Forbidden("the StorageClass does not allow volumes to grow"))
    await world.apply(storage={"size": "2Gi"})
    await _turns(world, 120)
    assert 4 <= tried.count("data-demo-0") <= 10
    assert "does not allow volumes to grow" in (await _degraded(world))["message"]
    tried.clear()
    await world.apply(storage={"size": "3Gi"})
    await world.look()
    assert tried == ["data-demo-0", "data-demo-1", "data-demo-2"]


async def test_a_refused_growth_does_not_keep_the_notes_on_a_volume(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(world, monkeypatch, api.CLAIMS, Forbidden("the StorageClass does not allow volumes to grow"), "spec")
    await world.apply(storage={"size": "2Gi"})
    await _turns(world, 10)
    note = {"metadata": {"annotations": {LAST_SYNC: "{}"}}}
    await world.outside.patch(api.CLAIMS, NAMESPACE, "data-demo-0", note)
    await world.look()
    claim = (await world.everything(api.CLAIMS))["data-demo-0"]
    assert LAST_SYNC not in claim["metadata"].get("annotations", {})


@pytest.mark.parametrize("error", [Unavailable("answered 500"), ConflictError("it changed")])
async def test_a_volume_that_cannot_be_changed_now_holds_up_no_procedure(
    world: World, monkeypatch: pytest.MonkeyPatch, error: MatriarchError
) -> None:
    tried = _failing(world, monkeypatch, api.CLAIMS, error)
    await world.apply(storage={"size": "2Gi"}, image="matriarch/postgres:new")
    await world.look()
    assert (await _degraded(world))["status"] == "False", "once is nothing"
    await _turns(world, 60)
    assert 4 <= tried.count("data-demo-0") <= 10
    assert str(error) in (await _degraded(world))["message"]
    assert (await world.events()).count("ReplacingPod") == 3
    monkeypatch.undo()
    await world.settle(200)
    claims = await world.everything(api.CLAIMS)
    assert {one["spec"]["resources"]["requests"]["storage"] for one in claims.values()} == {"2Gi"}


async def test_volumes_that_take_no_notes_do_not_keep_a_cluster_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = _failing(world, monkeypatch, api.CLAIMS, Unavailable("answered 500"))
    await world.outside.delete(api.CLUSTERS, NAMESPACE, NAME)
    deleted = (await world.cluster())["metadata"]["deletionTimestamp"]
    world.now = datetime.fromisoformat(deleted)
    await _turns(world, 60)
    assert names.sync_object("demo") in await world.everything(api.ENDPOINTS), "it may still be noted"
    assert {"data-demo-0", "data-demo-1", "data-demo-2"} == set(tried)
    await _turns(world, 180)
    assert await world.everything(api.CLUSTERS) == {}


async def test_status_follows_a_failover_while_an_action_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(world, monkeypatch, api.ENDPOINTS, Unavailable("the webhook does not answer"))
    await world.apply(parameters={"work_mem": "8MB"})
    await world.look()
    assert isinstance(world.last_error, Unavailable), "its key fails"
    assert (await _degraded(world))["status"] == "False", "once is nothing"
    world.broken = {"demo-0"}
    await world.act()
    await world.look()
    assert (await world.status())["primary"] == "demo-1"
    assert "patch Endpoints demo-config: the webhook does not answer" in (await _degraded(world))["message"]
    monkeypatch.undo()
    world.broken = set()
    await world.settle()
    assert (await world.status())["phase"] == "Running"


async def test_a_switchover_is_not_concluded_before_its_request_is_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the request that is still there would be taken for another one."""
    await world.annotate(labels.REQUEST_SWITCHOVER, "any")
    await _turns(world, 2)
    _failing(world, monkeypatch, api.CLUSTERS, Unavailable("slow"))
    await _turns(world, 4)
    assert (await world.status())["lastSwitchover"]["outcome"] == "Pending"
    assert "SwitchoverSucceeded" not in await world.events()
    monkeypatch.undo()
    await world.settle()
    assert (await world.status())["lastSwitchover"]["outcome"] == "Succeeded"
    assert len(world.switchovers) == 2


async def test_an_event_is_told_once_its_action_was_carried_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def delete(*_: Any, **__: Any) -> None:
        raise Unavailable("slow")

    monkeypatch.setattr(world.kube, "delete", delete)
    await world.apply(image="matriarch/postgres:new")
    await _turns(world, 5)
    assert "ReplacingPod" not in await world.events()
    monkeypatch.undo()
    await world.settle()
    assert "ReplacingPod" in await world.events()


async def test_a_conflict_is_no_trouble(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"metadata": {"annotations": {"seen": "by nobody"}}}
    await world._see()
    await world.outside.patch(api.ENDPOINTS, NAMESPACE, names.config_object("demo"), body)
    await world.apply(parameters={"work_mem": "8MB"})
    world.store.put_cluster(await world.cluster())

    async def blind() -> None:
        pass

    monkeypatch.setattr(world, "_see", blind)
    await world.look()
    assert isinstance(world.last_error, ConflictError)
    assert (await _degraded(world))["status"] == "False"
