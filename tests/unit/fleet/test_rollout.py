"""Rolling updates and restarts, as a table of what is seen and what is done next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from unit.fleet.builders import FACTS, NOW
from unit.fleet.builders import NEW_TEMPLATE as NEW
from unit.fleet.builders import OLD_TEMPLATE as OLD
from unit.fleet.builders import a_pod as _pod
from unit.fleet.builders import a_rolling_view as _view

from matriarch.fleet.actions import Delete, Restart
from matriarch.fleet.stages.health import best_candidate, may_lead
from matriarch.fleet.stages.parameters import restarts
from matriarch.fleet.stages.rollout import rollout
from matriarch.fleet.view import ClusterView
from matriarch.kube.api import Object
from matriarch.spec.status import SwitchoverStatus
from matriarch.words import labels


def _primary(template: str, **said: Any) -> Object:
    return _pod("demo-0", template, role="primary", **said)


def _removed(view: ClusterView) -> list[str]:
    assert view.spec is not None
    step = rollout(view, view.spec)
    return [action.name for action in step.actions if isinstance(action, Delete)] if step else []


def test_nothing_to_do() -> None:
    view = _view(_primary(NEW), _pod("demo-1", NEW), _pod("demo-2", NEW))
    assert view.spec is not None
    assert rollout(view, view.spec) is None


def test_the_most_lagged_replica_goes_first() -> None:
    view = _view(_primary(OLD), _pod("demo-1", OLD, xlog_location=10), _pod("demo-2", OLD, xlog_location=90))
    assert _removed(view) == ["demo-1"]


@pytest.mark.parametrize(
    "sick",
    [
        _pod("demo-2", NEW, ready=False),
        _pod("demo-2", NEW, replication_state="in archive recovery"),
        _pod("demo-2", NEW, state="starting"),
        _pod("demo-2", NEW, waiting="CrashLoopBackOff", ready=False),
    ],
    ids=["not ready", "not streaming", "starting", "crashing with the new template"],
)
def test_one_unwell_member_holds_everything_up(sick: Object) -> None:
    view = _view(_primary(OLD), _pod("demo-1", OLD), sick)
    assert _removed(view) == []


def test_a_missing_member_holds_everything_up() -> None:
    assert _removed(_view(_primary(OLD), _pod("demo-1", OLD))) == []


def test_without_a_primary_nothing_is_removed() -> None:
    pods = [_pod("demo-0", OLD), _pod("demo-1", OLD), _pod("demo-2", OLD)]
    assert _removed(_view(*pods, leader="")) == []


def test_a_pod_that_can_never_start_with_its_old_template_is_replaced() -> None:
    view = _view(_primary(OLD), _pod("demo-1", OLD, waiting="ImagePullBackOff", ready=False), _pod("demo-2", OLD))
    assert _removed(view) == ["demo-1"]


def test_a_template_that_the_controller_has_not_seen_moves_nothing() -> None:
    view = _view(_primary(OLD), _pod("demo-1", OLD), _pod("demo-2", OLD))
    workload = dict(view.children["StatefulSet", "demo"])
    workload["status"] = {"observedGeneration": 0}
    stale = replace(view, children={**view.children, ("StatefulSet", "demo"): workload})
    assert _removed(stale) == []


def test_the_primary_hands_over_to_the_most_advanced_replica() -> None:
    view = _view(_primary(OLD), _pod("demo-1", NEW, xlog_location=50), _pod("demo-2", NEW, xlog_location=99))
    assert view.spec is not None
    step = rollout(view, view.spec)
    assert step is not None
    assert step.actions == ()
    assert step.switchover is not None
    assert (step.switchover.origin, step.switchover.to, step.switchover.requested_by) == ("demo-0", "demo-2", "rollout")


NO_FAILOVER: dict[str, Any] = {"noFailover": True}
NEVER_FIRST: dict[str, Any] = {"failoverPriority": 0}
NO_SYNC: dict[str, Any] = {"noSync": True}
NEVER_SYNC: dict[str, Any] = {"syncPriority": 0}
CASCADED: dict[str, Any] = {"replicateFrom": 2}
BARS = pytest.mark.parametrize("tag", [NO_FAILOVER, NEVER_FIRST, NO_SYNC, NEVER_SYNC, CASCADED], ids=str)


@BARS
def test_the_primary_hands_over_to_nobody_whom_the_members_would_refuse(tag: dict[str, Any]) -> None:
    ahead = _pod("demo-1", NEW, xlog_location=100)
    view = _view(_primary(OLD), ahead, _pod("demo-2", NEW, xlog_location=99), tags=[{"ordinal": 1} | tag])
    assert view.spec is not None
    step = rollout(view, view.spec)
    assert step is not None
    assert step.switchover is not None
    assert step.switchover.to == "demo-2"


@pytest.mark.parametrize("tag", [NO_SYNC, NEVER_SYNC], ids=str)
def test_asynchronous_members_need_not_be_synchronous_to_lead(tag: dict[str, Any]) -> None:
    view = _view(
        _primary(OLD), _pod("demo-1", NEW), tags=[{"ordinal": 1} | tag], instances=2, synchronous={"mode": "off"}
    )
    assert view.spec is not None
    step = rollout(view, view.spec)
    assert step is not None
    assert step.switchover is not None
    assert step.switchover.to == "demo-1"


@pytest.mark.parametrize("tag", [NO_FAILOVER, NEVER_FIRST, NO_SYNC, NEVER_SYNC], ids=str)
def test_where_tags_let_nobody_else_lead_the_primary_is_replaced_in_place(tag: dict[str, Any]) -> None:
    view = _view(_primary(OLD), _pod("demo-1", NEW), tags=[{"ordinal": 1} | tag], instances=2)
    assert _removed(view) == ["demo-0"]
    assert view.spec is not None
    step = rollout(view, view.spec)
    assert step is not None
    assert "in place, since demo-1 may not be" in step.doing
    assert "in place, since demo-1 may not be" in step.notes[0].message


def test_who_refused_is_asked_again_after_the_others() -> None:
    view = _view(_primary(OLD), _pod("demo-1", NEW), _pod("demo-2", NEW))
    refused = SwitchoverStatus(
        requested_at=NOW.isoformat(), requested_by="rollout", origin="demo-0", outcome="Refused", to="demo-1"
    )
    view = replace(view, status=msgspec.structs.replace(view.status, last_switchover=refused))
    found = best_candidate(view)
    assert found is not None
    assert found.name == "demo-2"


def test_a_person_who_names_a_barred_member_is_told_so_at_once() -> None:
    view = _view(_primary(NEW), _pod("demo-1", NEW), _pod("demo-2", NEW), tags=[{"ordinal": 1, "noFailover": True}])
    assert "noFailover" in may_lead(view, view.members[1])


def test_a_single_member_is_replaced_at_once() -> None:
    assert _removed(_view(_primary(OLD), instances=1)) == ["demo-0"]


@pytest.mark.parametrize(
    ("state", "waiting", "waits"),
    [
        ("running custom bootstrap script", "", True),
        ("creating replica", "", True),
        ("running custom bootstrap script", "CrashLoopBackOff", False),
        ("starting", "", False),
        ("start failed", "", False),
    ],
)
def test_a_single_member_is_not_interrupted_in_what_would_begin_anew(state: str, waiting: str, waits: bool) -> None:
    """A second change of the spec, while the member that the first one made is still being restored from a backup."""
    pod = _pod("demo-0", OLD, ready=False, waiting=waiting, role="primary", state=state)
    view = _view(pod, instances=1)
    assert _removed(view) == ([] if waits else ["demo-0"])
    step = rollout(view, view.spec) if view.spec is not None else None
    assert step is not None and step.doing.startswith(
        f"demo-0 is replaced when it is done ({state})" if waits else "replacing demo-0: it is the only member"
    )


CONNECTIONS = {"max_connections": {"old_value": "100", "new_value": "200"}}
FEWER = {"max_connections": {"old_value": "200", "new_value": "100"}}
BUFFERS = {"shared_buffers": {"old_value": "128MB", "new_value": "64MB"}}


@pytest.mark.parametrize(
    ("reasons", "first"),
    [
        (CONNECTIONS, "demo-1"),
        (FEWER, "demo-0"),
        (BUFFERS, "demo-1"),
        (CONNECTIONS | BUFFERS, "demo-1"),
        ({}, "demo-1"),
    ],
    ids=["grows", "shrinks", "no order", "both", "no reasons"],
)
def test_the_order_of_restarts(reasons: dict[str, dict[str, str]], first: str) -> None:
    waiting: dict[str, Any] = {"pending_restart": True, "pending_restart_reason": reasons}
    view = _view(_primary(NEW, **waiting), _pod("demo-1", NEW, **waiting), _pod("demo-2", NEW, **waiting))
    assert view.spec is not None
    step = restarts(view, view.spec)
    assert step is not None
    assert [action.member for action in step.actions if isinstance(action, Restart)] == [first]


def test_restarts_wait_until_every_member_has_read_the_settings() -> None:
    view = _view(_primary(NEW, pending_restart=True), _pod("demo-1", NEW), _pod("demo-2", NEW), config_age_s=1)
    assert view.spec is not None
    step = restarts(view, view.spec)
    assert step is not None
    assert step.actions == ()
    assert step.wake_after_s == pytest.approx(5.0)


def test_restarts_wait_for_unwell_members() -> None:
    view = _view(_primary(NEW, pending_restart=True), _pod("demo-1", NEW, ready=False), _pod("demo-2", NEW))
    assert view.spec is not None
    step = restarts(view, view.spec)
    assert step is not None
    assert step.actions == ()
    assert "demo-1" in step.doing


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"state": 5, "xlog_location": "x", "matriarch": []}', "null"])
def test_a_member_that_talks_nonsense_is_a_silent_member(text: str) -> None:
    pod = _pod("demo-1", NEW)
    pod["metadata"]["annotations"][labels.STATUS] = text
    view = _view(_primary(NEW), pod, _pod("demo-2", OLD))
    assert view.members[1].state == ""
    assert _removed(view) == []


def test_passwords_are_never_shown() -> None:
    assert "super-pw" not in repr(FACTS)
