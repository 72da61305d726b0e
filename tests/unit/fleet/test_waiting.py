"""When a procedure waits although its next step is known, and when one that waits lets another one go first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from unit.fleet.builders import NEW_TEMPLATE as NEW
from unit.fleet.builders import NOW, a_pod, a_rolling_view
from unit.fleet.builders import OLD_TEMPLATE as OLD

from matriarch.fleet.actions import Delete, Patch, Restart
from matriarch.fleet.plan import Plan, decide
from matriarch.fleet.stages.switchover import REQUEST_ID, TIMEOUT_S
from matriarch.fleet.view import ClusterView
from matriarch.kube.api import Object
from matriarch.spec.status import SwitchoverStatus
from matriarch.words import labels

PRIMARY = a_pod("demo-0", NEW, role="primary")
RESTARTS: dict[str, Any] = {"pending_restart": True}
WAITS = "waits until the settings can be read"


def _versioned(view: ClusterView, name: str, **annotations: str) -> ClusterView:
    found = view.children.get(("Endpoints", name), {"metadata": {"name": name}})
    metadata = found["metadata"] | {"resourceVersion": "1", "labels": labels.cluster_labels("demo")}
    metadata["annotations"] = (metadata.get("annotations") or {}) | annotations
    return replace(view, children={**view.children, ("Endpoints", name): {"metadata": metadata}})


def _unreadable(view: ClusterView) -> ClusterView:
    return _versioned(view, "demo-config", config="{torn")


def _steps(plan: Plan) -> list[Any]:
    """What interrupts a member."""
    return [one for one in plan.actions if isinstance(one, Restart) or (isinstance(one, Delete) and one.kind == "Pod")]


def _message(plan: Plan) -> str:
    assert plan.status is not None
    return " ".join(one.message for one in plan.status.conditions)


@pytest.mark.parametrize(
    ("pods", "given"),
    [
        ([PRIMARY, a_pod("demo-1", OLD), a_pod("demo-2", NEW)], {}),
        ([PRIMARY, a_pod("demo-1", OLD, ready=False, state="start failed"), a_pod("demo-2", NEW)], {}),
        ([PRIMARY, a_pod("demo-1", NEW, **RESTARTS), a_pod("demo-2", NEW)], {}),
        ([a_pod("demo-0", OLD, role="primary"), a_pod("demo-1", NEW), a_pod("demo-2", NEW)], {}),
        ([a_pod("demo-0", NEW), a_pod("demo-1", NEW, role="primary")], {"leader": "demo-1", "instances": 1, "live": 2}),
    ],
    ids=["rollout", "repair", "restart", "hand-over", "scaling"],
)
def test_nothing_is_interrupted_while_nobody_can_read_the_settings(pods: list[Object], given: dict[str, Any]) -> None:
    view = _versioned(a_rolling_view(*pods, **given), "demo-config", config="{}")
    ready = decide(view)
    assert _steps(ready) or (ready.status is not None and ready.status.last_switchover is not None)
    plan = decide(_unreadable(view))
    assert _steps(plan) == []
    assert plan.status is not None and plan.status.last_switchover is None
    assert WAITS in _message(plan)


def test_a_persons_own_switchover_goes_on() -> None:
    view = _unreadable(a_rolling_view(PRIMARY, a_pod("demo-1", NEW), a_pod("demo-2", NEW)))
    metadata = view.resource["metadata"] | {"annotations": {labels.REQUEST_SWITCHOVER: "demo-1"}}
    plan = decide(replace(view, resource=view.resource | {"metadata": metadata}))
    assert plan.status is not None and plan.status.last_switchover is not None


def _pending(age_s: float, primary: Object) -> ClusterView:
    """demo-0 was asked so long ago to hand over, and demo-2's image cannot be pulled with the template of before."""
    asked_at = (NOW - timedelta(seconds=age_s)).isoformat()
    stuck = a_pod("demo-2", OLD, ready=False, waiting="ImagePullBackOff", state="", role="")
    view = _versioned(a_rolling_view(primary, a_pod("demo-1", NEW), stuck), "demo-config", config="{}")
    view = _versioned(view, "demo-failover", leader="demo-0", member="demo-1", **{REQUEST_ID: asked_at})
    last = SwitchoverStatus(requested_at=asked_at, requested_by="user", origin="demo-0", outcome="Pending", to="demo-1")
    return replace(view, status=msgspec.structs.replace(view.status, last_switchover=last))


DOWN = a_pod("demo-0", NEW, role="primary", ready=False, state="crashed")


@pytest.mark.parametrize(
    ("age_s", "primary", "repaired"),
    [(TIMEOUT_S + 1, DOWN, True), (TIMEOUT_S - 1, DOWN, False), (TIMEOUT_S + 1, PRIMARY, False)],
    ids=["nobody serves", "it may still come", "it is withdrawn instead"],
)
def test_a_request_that_nobody_can_conclude_lets_a_broken_pod_be_replaced(
    age_s: float, primary: Object, repaired: bool
) -> None:
    plan = decide(_pending(age_s, primary))
    assert [one.name for one in _steps(plan)] == (["demo-2"] if repaired else [])
    withdrawn = [one for one in plan.actions if isinstance(one, Patch) and one.name == "demo-failover"]
    assert bool(withdrawn) is (age_s > TIMEOUT_S and not repaired), "the request stays while nobody serves"
    assert decide(_unreadable(_pending(age_s, DOWN))).status is not None
    assert _steps(decide(_unreadable(_pending(age_s, DOWN)))) == []
