"""When a StatefulSet is told to become smaller."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.render.meta import all_labels
from matriarch.fleet.stages.scaling import replicas, scaling
from matriarch.fleet.view import ClusterView, Key
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
            "spec": {"replicas": len(members)},
        },
        ("Endpoints", "demo"): {"metadata": {"name": "demo", "annotations": lock}},
        ("Endpoints", "demo-config"): {"metadata": {"name": "demo-config", "annotations": {"initialize": "7"}}},
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


def test_nobody_goes_while_nobody_leads() -> None:
    view = _view(None, *(_member(ordinal, "replica") for ordinal in range(3)), instances=2)
    assert _told(view) == (3, "scaling down waits for a primary")


def test_the_leader_of_a_standby_cluster_serves_as_well() -> None:
    view = _view(0, _member(0, "standby_leader"), _member(1, "replica"), instances=1)
    assert _told(view)[0] == 1


def test_a_stateful_set_of_somebody_else_is_no_measure() -> None:
    """Its number of replicas says nothing of this cluster."""
    view = _view(None, *(_member(ordinal, "replica") for ordinal in range(3)), instances=2)
    foreign = {"metadata": {"name": "demo"}, "spec": {"replicas": 3}}
    assert _told(replace(view, children={**view.children, ("StatefulSet", "demo"): foreign})) == (2, "")


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
