"""When a StatefulSet is told to become smaller."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.actions import Delete
from matriarch.fleet.plan import decide
from matriarch.fleet.render.meta import all_labels
from matriarch.fleet.stages.scaling import kept_volumes, replicas, scaling, volumes
from matriarch.fleet.sync_record import SyncRecord, read_sync
from matriarch.fleet.view import ClusterView, Key, observed
from matriarch.kube.api import Object
from matriarch.words import labels


def _member(ordinal: int, role: str, *, ready: bool = True, **said: Any) -> Object:
    said = {"role": role, "state": "running", "xlog_location": 100} | said
    if role == "replica":
        said.setdefault("replication_state", "streaming")
    return {
        "metadata": {"name": f"demo-{ordinal}", "uid": str(ordinal), "annotations": {labels.STATUS: json.dumps(said)}},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def _view(leader: int | None, *members: Object, instances: int, **spec: Any) -> ClusterView:
    lock = {"leader": f"demo-{leader}"} if leader is not None else {}
    children: dict[Key, Object] = {
        ("StatefulSet", "demo"): {
            "metadata": {"name": "demo", "labels": all_labels("demo")},
            "spec": {"replicas": len(members), "template": {"metadata": {}}},
        },
        ("Endpoints", "demo"): {"metadata": {"name": "demo", "annotations": lock}},
        ("Endpoints", "demo-config"): {
            "metadata": {"name": "demo-config", "resourceVersion": "1", "annotations": {"initialize": "7"}}
        },
    }
    children |= {("Pod", member["metadata"]["name"]): member for member in members}
    return a_view(children, instances=instances, **spec)


def _told(view: ClusterView) -> tuple[int, str]:
    """The number of replicas, and what the status says of it."""
    assert view.spec is not None
    held = replicas(view, view.spec)
    step = scaling(view, view.spec, held)
    return held.count, step.doing if step is not None else ""


def test_a_primary_that_serves_lets_the_others_go() -> None:
    view = _view(0, _member(0, "primary"), _member(1, "replica"), _member(2, "replica"), instances=2)
    assert _told(view)[0] == 2


@pytest.mark.parametrize(
    "leader",
    [_member(0, "replica"), _member(0, "primary", ready=False)],
    ids=["it is being promoted", "it does not answer"],
)
def test_nobody_goes_before_the_leader_serves(leader: Object) -> None:
    """With the lock in its hands a member may still fail to be promoted, and the others be needed."""
    view = _view(0, leader, _member(1, "replica"), _member(2, "replica"), instances=2)
    assert _told(view) == (3, "scaling down waits until demo-0 serves as primary")


@pytest.mark.parametrize(
    ("leader", "instances", "count"),
    [(2, 2, 3), (0, 2, 2), (None, 2, 3), (0, 4, 4)],
    ids=["the primary would go", "nothing holds it", "nobody leads", "more are asked for"],
)
def test_a_stateful_set_that_was_deleted_without_its_pods_comes_back_with_those_still_needed(
    leader: int | None, instances: int, count: int
) -> None:
    pods = [_member(one, "primary" if one == leader else "replica") for one in (0, 1, 2)]
    hostile = {**_member(0, "replica"), "metadata": {"name": "demo-9999", "uid": "x"}}
    view = _view(leader, *pods, hostile, instances=instances)
    view = replace(view, children={key: one for key, one in view.children.items() if key[0] != "StatefulSet"})
    assert view.spec is not None
    assert replicas(view, view.spec).count == count


def test_nobody_goes_while_nobody_leads() -> None:
    view = _view(None, *(_member(ordinal, "replica") for ordinal in range(3)), instances=2)
    assert _told(view) == (3, "scaling down waits for a primary")


def test_the_leader_of_a_standby_cluster_serves_as_well() -> None:
    view = _view(0, _member(0, "standby_leader"), _member(1, "replica"), instances=1)
    assert _told(view)[0] == 1


def test_a_stateful_set_of_somebody_else_is_no_measure() -> None:
    """Its number of replicas says nothing of this cluster; the members that are there do."""
    view = _view(None, *(_member(ordinal, "replica") for ordinal in range(3)), instances=2)
    foreign = {"metadata": {"name": "demo"}, "spec": {"replicas": 9}}
    held = _told(replace(view, children={**view.children, ("StatefulSet", "demo"): foreign}))
    assert held == (3, "scaling down waits for a primary")


WAY_OUT = "; to end the wait raise instances again"
SICK = {
    "not ready": _member(1, "replica", ready=False),
    "cloning": _member(1, "uninitialized", ready=False, state="creating replica"),
    "not streaming": _member(1, "replica", replication_state="in archive recovery"),
}


@pytest.mark.parametrize("sick", SICK.values(), ids=SICK)
def test_nobody_goes_while_a_replica_that_stays_is_not_well(sick: Object) -> None:
    """The one that goes may be the only one to have what the primary has acknowledged."""
    view = _view(0, _member(0, "primary"), sick, _member(2, "replica"), instances=2)
    count, doing = _told(view)
    assert count == 3
    assert doing.startswith("scaling down waits until what stays is well: demo-1 (")


def _homeless(ordinal: int) -> Object:
    """A pod that no node has room for."""
    pod = _member(ordinal, "", ready=False, state="")
    pod["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
    return pod


@pytest.mark.parametrize(
    ("leader", "mode", "listed", "count"),
    [
        (0, "on", "demo-1", 3),
        (0, "on", "demo-3", 4),
        (0, "quorum", "demo-1,demo-3", 3),
        (3, "on", "demo-0,demo-1", 4),
        (0, "off", "", 3),
        (3, "off", "", 4),
    ],
)
def test_whom_those_that_go_leave_no_room_is_not_waited_for(leader: int, mode: str, listed: str, count: int) -> None:
    """demo-2 waits for the node of demo-3, which is to go: nobody would ever move."""
    pods = [_member(one, "primary" if one == leader else "replica") for one in (0, 1, 3)]
    view = _view(leader, *pods, _homeless(2), instances=3, synchronous={"mode": mode})
    told = {"leader": f"demo-{leader}", "sync_standby": listed} if listed else {}
    lock = replace(view.lock, sync=read_sync(told))
    found, doing = _told(replace(view, lock=lock))
    assert found == count
    if (leader, mode) == (3, "on"):
        assert "hand over" in doing or "switchover" in doing, "it goes on, by a switchover"
    elif count == 4:
        assert doing.startswith("scaling down waits until what stays is well: demo-2 (Unschedulable")
        assert doing.endswith(WAY_OUT)


def test_a_member_that_has_its_node_is_waited_for() -> None:
    evicted = _homeless(2) | {"spec": {"nodeName": "n2"}}
    view = _view(0, _member(0, "primary"), _member(1, "replica"), evicted, _member(3, "replica"), instances=3)
    lock = replace(view.lock, sync=SyncRecord("demo-0", ("demo-1",)))
    assert _told(replace(view, lock=lock))[0] == 4


def test_nobody_goes_while_a_replica_that_stays_is_missing() -> None:
    view = _view(0, _member(0, "primary"), _member(2, "replica"), _member(3, "replica"), instances=2)
    assert _told(view) == (3, "scaling down waits until what stays is well: demo-1 (missing)" + WAY_OUT)


def test_a_member_that_is_broken_for_good_can_be_scaled_away() -> None:
    view = _view(0, _member(0, "primary"), _member(1, "replica"), _member(2, "replica", ready=False), instances=2)
    assert _told(view) == (2, "removing demo-2")


def test_what_is_unwell_is_named_before_the_primary_hands_over() -> None:
    view = _view(2, _member(0, "replica"), _member(1, "replica", ready=False), _member(2, "primary"), instances=2)
    assert _told(view) == (3, "scaling down waits until what stays is well: demo-1 (running, not ready)" + WAY_OUT)


def _without_initialize(view: ClusterView, config: Object | None, **status: Any) -> ClusterView:
    """The view with other settings, and with a lock that tells nothing, as after somebody deleted the objects."""
    children = {key: one for key, one in view.children.items() if key[0] != "Endpoints"}
    if config is not None:
        children["Endpoints", "demo-config"] = config
    resource = {**view.resource, "status": status}
    return observed("db", "demo", resource, children, view.facts)


MADE_ANEW: Object = {"metadata": {"name": "demo-config", "annotations": {}}}


def test_a_cluster_that_never_had_data_loses_members_at_once() -> None:
    silent = [_member(ordinal, "", ready=False, state="") for ordinal in range(3)]
    view = _without_initialize(_view(None, *silent, instances=2), MADE_ANEW)
    assert _told(view)[0] == 2


@pytest.mark.parametrize(
    ("config", "role", "status"),
    [(None, "", {}), (MADE_ANEW, "replica", {}), (MADE_ANEW, "", {"timeline": 3})],
    ids=["no settings object", "members have data", "there was a leader once"],
)
def test_missing_information_is_no_sign_of_a_new_cluster(config: Object, role: str, status: dict[str, Any]) -> None:
    members = [_member(ordinal, role, ready=False, state="stopped") for ordinal in range(3)]
    view = _without_initialize(_view(None, *members, instances=2), config, **status)
    assert _told(view) == (3, "scaling down waits for a primary")


BORN = "2026-01-02T03:00:00Z"
"""When the PostgresCluster of the builders was made."""


def _with_claims(view: ClusterView, *ordinals: int, made: str) -> ClusterView:
    claims: dict[Key, Object] = {
        ("PersistentVolumeClaim", f"data-demo-{ordinal}"): {
            "metadata": {
                "name": f"data-demo-{ordinal}",
                "uid": f"claim-{ordinal}",
                "creationTimestamp": made,
                "labels": labels.cluster_labels("demo"),
            },
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        }
        for ordinal in ordinals
    }
    return replace(view, children={**view.children, **claims})


def _deleted(view: ClusterView) -> list[str]:
    assert view.spec is not None
    return [action.name for action in volumes(view, view.spec) if isinstance(action, Delete)]


DELETE = {"size": "1Gi", "reclaimPolicy": "Delete"}


def test_volumes_of_members_scaled_away_go_when_told_so() -> None:
    view = _view(0, _member(0, "primary"), _member(1, "replica"), instances=2, storage=DELETE)
    view = _with_claims(view, 0, 1, 2, 3, made=BORN)
    assert view.spec is not None
    assert _deleted(view) == ["data-demo-2", "data-demo-3"]
    assert kept_volumes(view, view.spec) == ()


@pytest.mark.parametrize(
    ("leader", "replica"),
    [
        (_member(0, "primary"), _member(1, "replica", ready=False)),
        (_member(0, "replica"), _member(1, "replica")),
    ],
    ids=["a replica is not well", "the leader does not serve yet"],
)
def test_volumes_stay_until_those_who_remain_are_well(leader: Object, replica: Object) -> None:
    view = _with_claims(_view(0, leader, replica, instances=2, storage=DELETE), 0, 1, 2, made=BORN)
    assert _deleted(view) == []


def test_volumes_from_before_the_cluster_are_never_removed_and_are_told_of() -> None:
    """The cluster was made again with fewer members: the newest commits may be on a volume that none of them has."""
    view = _view(0, _member(0, "primary"), _member(1, "replica"), instances=2, storage=DELETE)
    view = _with_claims(view, 0, 1, 2, 3, made="2026-01-01T00:00:00Z")
    assert _deleted(view) == []
    status = decide(view).status
    assert status is not None
    (degraded,) = (one for one in status.conditions if one.type == "Degraded")
    assert degraded.status == "True"
    assert "kept volumes of 2 more member(s) exist" in degraded.message
    assert "data-demo-2, data-demo-3; delete them by hand, or raise instances" in degraded.message


def test_volumes_that_are_to_be_kept_are_nothing_to_tell() -> None:
    view = _view(0, _member(0, "primary"), instances=1)
    view = _with_claims(view, 0, 1, made="2026-01-01T00:00:00Z")
    assert view.spec is not None
    assert kept_volumes(view, view.spec) == ()


def test_a_primary_that_nobody_may_replace_stays_and_the_status_says_why() -> None:
    tags = [{"ordinal": 0, "noFailover": True}, {"ordinal": 1, "failoverPriority": 0}]
    view = _view(2, *(_member(one, "replica") for one in (0, 1)), _member(2, "primary"), instances=2, tags=tags)
    count, doing = _told(view)
    assert count == 3
    assert "nobody may take over: demo-0 may not be promoted" in doing


def test_a_primary_that_goes_hands_over_to_one_that_may_lead() -> None:
    tags = [{"ordinal": 0, "noFailover": True}]
    view = _view(2, *(_member(one, "replica") for one in (0, 1)), _member(2, "primary"), instances=2, tags=tags)
    assert _told(view) == (3, "switchover from demo-2 to demo-1 requested")
