"""When a request for a switchover is given up."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from unit.fleet.builders import FACTS, NOW, resource

from matriarch.fleet.actions import Patch
from matriarch.fleet.stages.switchover import REQUEST_ID, TIMEOUT_S, under_way
from matriarch.fleet.view import ClusterView, Key, observed
from matriarch.kube.api import Object
from matriarch.words import labels


def a_request(age_s: float, *, leader: str = "demo-0", state: str = "running") -> ClusterView:
    """demo-0 was asked so long ago to hand over to demo-1."""
    asked_at = (NOW - timedelta(seconds=age_s)).isoformat()
    pending = {"requestedAt": asked_at, "requestedBy": "user", "from": "demo-0", "to": "demo-1", "outcome": "Pending"}
    said = json.dumps({"role": "primary", "state": state})
    pod: Object = {
        "metadata": {"name": "demo-0", "uid": "u0", "annotations": {labels.STATUS: said}},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    request = {"leader": "demo-0", "member": "demo-1", REQUEST_ID: asked_at}
    children: dict[Key, Object] = {
        ("Pod", "demo-0"): pod,
        ("Endpoints", "demo"): {"metadata": {"name": "demo", "annotations": {"leader": leader} if leader else {}}},
        ("Endpoints", "demo-failover"): {
            "metadata": {"name": "demo-failover", "resourceVersion": "3", "annotations": request}
        },
    }
    return observed("db", "demo", resource() | {"status": {"lastSwitchover": pending}}, children, FACTS)


def withdrawn(view: ClusterView) -> bool:
    step = under_way(view)
    assert step is not None
    return any(isinstance(action, Patch) and action.name == "demo-failover" for action in step.actions)


def test_a_request_that_nobody_takes_up_is_withdrawn() -> None:
    assert not withdrawn(a_request(TIMEOUT_S - 1))
    assert withdrawn(a_request(TIMEOUT_S + 1))


@pytest.mark.parametrize("view", [a_request(TIMEOUT_S + 1, state="stopping"), a_request(TIMEOUT_S + 1, leader="")])
def test_a_handover_that_takes_long_keeps_its_request(view: ClusterView) -> None:
    """In a pause only the request lets the candidate take the lock: without it nobody would lead any more."""
    assert not withdrawn(view)
