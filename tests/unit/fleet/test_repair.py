"""Which outdated pods are replaced although they are not well, and which are waited for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.fleet.builders import NEW_TEMPLATE as NEW
from unit.fleet.builders import OLD_TEMPLATE as OLD
from unit.fleet.builders import a_pod, a_rolling_view

from matriarch.fleet.actions import Delete
from matriarch.fleet.stages.rollout import rollout
from matriarch.fleet.stages.scaling import replicas, scaling
from matriarch.fleet.stages.step import Step
from matriarch.fleet.sync_record import SyncRecord
from matriarch.fleet.view import ClusterView, Lock
from matriarch.kube.api import Object

PRIMARY = a_pod("demo-0", NEW, role="primary")
WELL = a_pod("demo-1", NEW)


def _step(view: ClusterView) -> Step:
    assert view.spec is not None
    step = rollout(view, view.spec)
    assert step is not None
    return step


def _replaced(view: ClusterView) -> list[str]:
    return [action.name for action in _step(view).actions if isinstance(action, Delete)]


def _sick(name: str = "demo-2", template: str = OLD, **said: Any) -> Object:
    return a_pod(name, template, ready=False, **said)


BROKEN = {
    "Postgres does not start": {"state": "start failed"},
    "the agent has never spoken": {"state": "", "role": ""},
    "nothing there and no copy under way": {"state": "stopped", "role": "uninitialized"},
    "runs without a REST API": {},
    "never comes up": {"state": "starting"},
}
AT_WORK = {
    "it is copied": {"state": "creating replica", "role": "uninitialized"},
    "it is rewound": {"state": "rewinding"},
    "it restarts": {"state": "restarting"},
    "it stops": {"state": "stopping"},
    "it may be rewound": {"state": "stopped"},
    "it may be rewound after a crash": {"state": "crashed", "role": "demoted"},
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_a_broken_member_gets_the_template_that_was_taken_back(said: dict[str, Any]) -> None:
    view = a_rolling_view(PRIMARY, WELL, _sick(**said))
    assert _replaced(view) == ["demo-2"]
    assert "not well with its old template" in _step(view).notes[0].message


@pytest.mark.parametrize("said", AT_WORK.values(), ids=AT_WORK)
def test_what_an_interruption_would_begin_anew_is_waited_for(said: dict[str, Any]) -> None:
    view = a_rolling_view(PRIMARY, WELL, _sick(**said))
    assert _replaced(view) == []
    assert f"demo-2 ({said['state']}), a pod that is deleted gets the new one" in _step(view).doing


def test_one_after_the_other() -> None:
    both = [_sick("demo-1", state="start failed"), _sick("demo-2", state="start failed")]
    assert _replaced(a_rolling_view(PRIMARY, *both)) == ["demo-2"]


@pytest.mark.parametrize(
    "other",
    [
        _sick("demo-1", NEW, state="", role=""),
        _sick("demo-1", NEW, state="creating replica", role="uninitialized"),
        _sick("demo-1", NEW, state="rewinding"),
        _sick("demo-1", NEW, state="starting"),
        a_pod("demo-1", NEW, ready=False, deleting=True),
        None,
    ],
    ids=["made", "copied", "rewound", "starting", "going", "missing"],
)
def test_the_next_one_waits_for_the_one_before(other: Object | None) -> None:
    pods = [one for one in (PRIMARY, other, _sick(state="start failed")) if one is not None]
    assert _replaced(a_rolling_view(*pods, instances=3)) == []


def test_one_that_failed_with_the_new_template_holds_up_none_that_is_broken_already() -> None:
    failed = _sick("demo-1", NEW, state="start failed")
    assert _replaced(a_rolling_view(PRIMARY, failed, _sick(state="start failed"))) == ["demo-2"]


@pytest.mark.parametrize(
    "primary",
    [
        a_pod("demo-0", NEW, role="primary", ready=False),
        a_pod("demo-0", NEW, role="replica"),
        a_pod("demo-0", NEW, role="primary", state="starting"),
    ],
    ids=["not ready", "being promoted", "starting"],
)
def test_nobody_is_replaced_while_the_leader_does_not_serve(primary: Object) -> None:
    assert _replaced(a_rolling_view(primary, WELL, _sick(state="start failed"))) == []


def test_the_leaders_pod_is_never_replaced_for_being_unwell() -> None:
    primary = a_pod("demo-0", OLD, role="primary", ready=False)
    assert _replaced(a_rolling_view(primary, WELL, a_pod("demo-2", NEW))) == []


@pytest.mark.parametrize(
    ("listed", "mode", "other", "gone"),
    [
        ("demo-2", "on", _sick("demo-1", state="creating replica"), []),
        ("demo-2", "on", _sick("demo-1"), ["demo-1"]),
        ("demo-1", "on", _sick("demo-1"), ["demo-2"]),
        ("demo-1", "on", _sick("demo-1", state="stopping"), []),
        ("", "on", _sick("demo-1"), []),
        ("demo-1,demo-2", "quorum", _sick("demo-1"), ["demo-2"]),
        ("", "off", _sick("demo-1", state="stopping", replication_state=""), []),
        ("", "off", _sick("demo-1"), ["demo-2"]),
    ],
    ids=[
        "the only one that streams",
        "the other one is synchronous",
        "it is not synchronous itself",
        "the synchronous one stops",
        "nobody is synchronous",
        "one of two of a quorum",
        "asynchronous, the only one that streams",
        "asynchronous, one of two",
    ],
)
def test_a_postgres_that_runs_goes_only_when_another_one_is_there_for_commits(
    listed: str, mode: str, other: Object, gone: list[str]
) -> None:
    view = a_rolling_view(PRIMARY, other, _sick(), listed=listed, synchronous={"mode": mode})
    assert _replaced(view) == gone


def _new_cluster(*pods: Object, leader: str = "", config: bool = True) -> ClusterView:
    view = a_rolling_view(*pods, leader=leader, listed="")
    children = dict(view.children)
    children["Endpoints", "demo-config"] = {"metadata": {"name": "demo-config"}}
    if not config:
        del children["Endpoints", "demo-config"]
    return replace(view, children=children, lock=Lock(leader, SyncRecord(), initialized=False))


SILENT = [_sick(f"demo-{ordinal}", state="", role="") for ordinal in range(3)]


def test_a_cluster_that_never_began_begins_with_the_new_template() -> None:
    assert _replaced(_new_cluster(*SILENT)) == ["demo-2"]
    assert _replaced(_new_cluster(*SILENT[:2], _sick(template=NEW, state="", role=""))) == ["demo-1"]
    assert _replaced(_new_cluster(*SILENT[:2])) == [], "the one before is still to be made"


def test_who_holds_the_lock_of_a_new_cluster_and_cannot_start_is_replaced_too() -> None:
    others = [_sick(f"demo-{one}", NEW, state="stopped", role="uninitialized") for one in (1, 2)]
    assert _replaced(_new_cluster(SILENT[0], *others, leader="demo-0")) == ["demo-0"]
    busy = _sick("demo-0", state="initializing new cluster", role="uninitialized")
    about = _sick("demo-0", state="stopped", role="uninitialized")
    for holder in (busy, about):
        assert _replaced(_new_cluster(holder, *others, leader="demo-0")) == []


def test_missing_settings_are_no_new_cluster() -> None:
    assert _replaced(_new_cluster(*SILENT, config=False)) == []
    with_data = _sick("demo-0", state="stopped", role="demoted")
    assert _replaced(_new_cluster(with_data, *SILENT[1:])) == []


def test_a_scale_down_that_waits_for_a_broken_member_cures_it() -> None:
    view = a_rolling_view(PRIMARY, _sick("demo-1", state="start failed"), a_pod("demo-2", NEW), instances=2, live=3)
    assert view.spec is not None
    held = replicas(view, view.spec)
    assert held.count == 3
    step = scaling(view, view.spec, held)
    assert step is not None
    assert [action.name for action in step.actions if isinstance(action, Delete)] == ["demo-1"]


def test_a_missing_member_is_not_made_up_for_by_one_that_is_to_go() -> None:
    view = a_rolling_view(PRIMARY, a_pod("demo-2", OLD), a_pod("demo-3", OLD), instances=3, live=4)
    assert _replaced(view) == []
    assert _step(view).doing.startswith("the next pod waits for 1 missing member(s)")
