"""When a request for a switchover is given up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from msgspec.structs import replace as replace_status
from unit.fleet.builders import FACTS, NOW, a_pod, a_rolling_view, resource

from matriarch.fleet.actions import Patch
from matriarch.fleet.stages.switchover import REQUEST_ID, TIMEOUT_S, begin, hand_over, under_way
from matriarch.fleet.view import ClusterView, Key, observed
from matriarch.kube.api import Object
from matriarch.spec.status import SwitchoverStatus
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


@pytest.mark.parametrize(
    ("refused_s", "below", "doing", "wake"),
    [
        (None, None, "switchover from demo-0 to demo-1 requested", None),
        (10, None, "it goes", 20.0),
        (40, None, "switchover from demo-0 to demo-2 requested", None),
        (None, 1, "it goes: no member is able to take over", None),
    ],
)
def test_a_procedure_asks_again_after_a_pause_and_another_member_first(
    refused_s: int | None, below: int | None, doing: str, wake: float | None
) -> None:
    view = a_rolling_view(*(a_pod(f"demo-{n}", "old", role="replica" if n else "primary") for n in range(3)))
    if refused_s is not None:
        at = (NOW - timedelta(seconds=refused_s)).isoformat()
        last = SwitchoverStatus(at, "rollout", "demo-0", "Refused", to="demo-1", finished_at=at)
        view = replace(view, status=replace_status(view.status, last_switchover=last))
    step = hand_over(view, "scaling", "Scaling", "it goes", below=below)
    assert (step.phase == "Scaling", step.doing, step.wake_after_s) == ("requested" not in doing, doing, wake)


@pytest.mark.parametrize("leader", ["demo-9", "x" * 300])
def test_a_leader_without_a_pod_hands_over_to_nobody(leader: str) -> None:
    """Whoever succeeds it meanwhile would look like the outcome; and a name may be of any length."""
    pods = (a_pod(f"demo-{n}", "old") for n in range(2))
    step = begin(a_rolling_view(*pods, leader=leader), "any", "user")
    assert step.switchover is not None and step.switchover.origin == ""
    view = a_rolling_view(*(a_pod(f"demo-{n}", "old") for n in range(2)), leader="demo-1")
    after = under_way(replace(view, status=replace_status(view.status, last_switchover=step.switchover)))
    assert after is not None and after.switchover is not None
    assert after.switchover.message == "the cluster has no primary at the moment: wait for one"


@pytest.mark.parametrize(("instances", "refused"), [(3, False), (2, True)])
def test_nobody_takes_over_who_is_about_to_be_scaled_away(instances: int, refused: bool) -> None:
    pods = [a_pod(f"demo-{n}", "new", role="replica" if n else "primary") for n in range(3)]
    view = a_rolling_view(*pods, live=3, instances=instances)
    asked = replace(view, resource=view.resource | {"metadata": dict(view.resource["metadata"])})
    asked.resource["metadata"]["annotations"] = {labels.REQUEST_SWITCHOVER: "demo-2"}
    request = begin(asked, "demo-2", "user").switchover
    step = under_way(replace(asked, status=replace_status(view.status, last_switchover=request)))
    assert step is not None
    told = "demo-2 is about to be scaled away, as instances is 2"
    assert (step.doing == told, step.switchover is not None) == (refused, refused)


@pytest.mark.parametrize("written", [False, True], ids=["waits behind another request", "the members have it"])
@pytest.mark.parametrize(
    ("asker", "leader", "instances", "told"),
    [
        ("rollout", "old", 2, ""),
        ("rollout", "new", 2, "demo-1 has the current template"),
        ("scaling", "new", 1, ""),
        ("scaling", "old", 2, "demo-1 is not to be removed any more"),
        ("user", "new", 2, ""),
    ],
)
def test_a_procedure_drops_a_request_that_it_does_not_need_any_more(
    asker: Literal["user", "rollout", "scaling"], leader: str, instances: int, told: str, written: bool
) -> None:
    """Its spec was changed back meanwhile. What the members have seen they may have begun."""
    pods = (a_pod("demo-0", "new"), a_pod("demo-1", leader, role="primary"))
    view = a_rolling_view(*pods, leader="demo-1", instances=instances, live=2)
    view.resource["metadata"]["annotations"] = {labels.REQUEST_SWITCHOVER: "demo-0"}
    request = begin(view, "demo-0", asker).switchover
    assert request is not None
    asked = {"leader": "demo-1", "member": "demo-0"} | ({REQUEST_ID: request.requested_at} if written else {})
    failover = {"metadata": {"name": "demo-failover", "resourceVersion": "3", "annotations": asked}}
    children = {**view.children, ("Endpoints", "demo-failover"): failover}
    view = replace(view, children=children, status=replace_status(view.status, last_switchover=request))
    step = under_way(view)
    assert step is not None
    concluded = step.switchover.message if step.switchover is not None else ""
    assert concluded == ("" if written else told)
