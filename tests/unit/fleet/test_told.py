"""What hangs without an end is told, with where to look: pods that are not made, do not speak, or do not stop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs
from unit.fleet.builders import FACTS, NOW, a_pod, a_rolling_view, resource

from matriarch.fleet.plan import decide
from matriarch.fleet.stages.report import report
from matriarch.fleet.view import ClusterView, observed
from matriarch.kube.api import Object
from matriarch.spec.status import Condition

NEW = "new"


def _told(view: ClusterView) -> tuple[str, str]:
    """The phase, and what the condition Degraded says, while nothing is under way."""
    status = report(view, None, ()).status
    degraded = next(one for one in status.conditions if one.type == "Degraded")
    return status.phase, degraded.message if degraded.status == "True" else ""


def _aged(pod: Object, age_s: float) -> Object:
    made = (NOW - timedelta(seconds=age_s)).isoformat()
    return pod | {"metadata": pod["metadata"] | {"creationTimestamp": made}}


@pytest.mark.parametrize(
    ("age_s", "state", "phase", "told"),
    [
        (290, "", "Starting members", ""),
        (310, "", "Degraded", "pod demo-1 does not start: its agent has said nothing for five minutes, see"),
        (9000, "creating replica", "Starting members", ""),
    ],
)
def test_a_pod_whose_agent_never_speaks_is_told_of(age_s: float, state: str, phase: str, told: str) -> None:
    """A volume that cannot be attached, say: the pod waits for it without a reason that anybody shows."""
    silent = _aged(a_pod("demo-1", NEW, ready=False, state=state), age_s)
    found = _told(a_rolling_view(a_pod("demo-0", NEW, role="primary"), silent, instances=2))
    assert (found[0], found[1][: len(told)]) == (phase, told)
    assert bool(told) == ("`kubectl describe pod demo-1`" in found[1])


def _without_pods(unready_s: float, *pods: Object, leader: str = "") -> ClusterView:
    view = a_rolling_view(*pods, leader=leader, instances=2)
    view = replace(view, lock=replace(view.lock, initialized=bool(leader)))
    since = (NOW - timedelta(seconds=unready_s)).isoformat()
    ready = Condition("Ready", "False", "NoPrimary", "", since)
    return replace(view, status=structs.replace(view.status, phase="Setting up", conditions=(ready,)))


@pytest.mark.parametrize(("unready_s", "told"), [(290, False), (310, True)])
def test_pods_that_nobody_makes_are_told_of(unready_s: float, told: bool) -> None:
    """A quota, a policy or a priority class that is not there: only the StatefulSet's events say so."""
    sentence = "not made: pod demo-0, demo-1, see `kubectl describe statefulset demo`"
    assert _told(_without_pods(unready_s)) == ("Setting up", sentence if told else "")
    view = _without_pods(unready_s, a_pod("demo-0", NEW, role="primary"), leader="demo-0")
    assert (_told(view)[1] == "not made: pod demo-1, see `kubectl describe statefulset demo`") is told


def test_a_deletion_names_the_pods_that_it_waits_for() -> None:
    """One on a node that is gone stays until a person removes it or the node."""
    pod = a_pod("demo-1", NEW, deleting=True) | {"spec": {"nodeName": "n3"}}
    found = resource()
    found["metadata"]["deletionTimestamp"] = NOW.isoformat()
    plan = decide(observed("db", "demo", found, {("Pod", "demo-1"): pod}, FACTS))
    assert plan.status is not None
    progressing = next(one for one in plan.status.conditions if one.type == "Progressing")
    assert progressing.message == "waiting for demo-1 (on node n3) to stop"
