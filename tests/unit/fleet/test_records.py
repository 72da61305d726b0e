"""The four lock objects: who makes them again when somebody has deleted them, and what is never written over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.actions import Create, Patch
from matriarch.fleet.plan import decide
from matriarch.fleet.stages.objects import ensure
from matriarch.fleet.stages.parameters import change_settings
from matriarch.fleet.view import ClusterView, Key
from matriarch.kube.api import Object
from matriarch.words import labels

RECORDS = ("demo", "demo-config", "demo-failover", "demo-sync")


def record(name: str, **annotations: str) -> Object:
    return {"metadata": {"name": name, "resourceVersion": "5", "annotations": annotations}}


def member(role: str, state: str = "running") -> Object:
    said = {"role": role, "state": state}
    return {
        "metadata": {"name": "demo-0", "uid": "u0", "annotations": {labels.STATUS: json.dumps(said)}},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def a_cluster(pod: Object | None, *gone: str, config: str = "{}") -> ClusterView:
    children: dict[Key, Object] = {("Endpoints", name): record(name) for name in RECORDS if name not in gone}
    if "demo-config" not in gone:
        children["Endpoints", "demo-config"] = record("demo-config", config=config, initialize="7000000000000000001")
    if pod is not None:
        children["Pod", "demo-0"] = pod
    return a_view(children)


def made(view: ClusterView) -> set[str]:
    assert view.spec is not None
    found = (action for action in ensure(view, view.spec, 3).actions if isinstance(action, Create))
    return {action.body["metadata"]["name"] for action in found if action.kind == "Endpoints"}


@pytest.mark.parametrize("role", ["primary", "standby_leader"])
@pytest.mark.parametrize("gone", ["demo", "demo-config"])
def test_a_primary_that_runs_makes_its_lock_and_the_settings_again(gone: str, role: str) -> None:
    assert made(a_cluster(member(role), gone)) == set()


@pytest.mark.parametrize("pod", [None, member("replica"), member("primary", "stopping")])
def test_the_operator_makes_them_where_nobody_leads(pod: Object | None) -> None:
    assert made(a_cluster(pod, "demo", "demo-config")) == {"demo", "demo-config"}


def test_the_other_two_are_made_at_once() -> None:
    assert made(a_cluster(member("primary"), "demo-failover", "demo-sync")) == {"demo-failover", "demo-sync"}


@pytest.mark.parametrize("text", ['{"ttl": 9', "[]", "7", "[" * 5000])
def test_settings_that_cannot_be_read_are_not_written_over(text: str) -> None:
    view = a_cluster(member("primary"), config=text)
    assert view.spec is not None and change_settings(view, view.spec) is None
    status = decide(view).status
    assert status is not None and "settings cannot be read" in json.dumps([one.message for one in status.conditions])


@pytest.mark.parametrize("annotations", [{}, {"config": "{}"}, {"config": " {} "}])
def test_settings_that_say_nothing_are_those_of_the_spec(annotations: dict[str, str]) -> None:
    view = a_view({("Endpoints", "demo-config"): record("demo-config", **annotations)})
    assert view.spec is not None
    patch = change_settings(view, view.spec)
    assert isinstance(patch, Patch)
    written: dict[str, Any] = json.loads(patch.body["metadata"]["annotations"]["config"])
    assert written["ttl"] == 9
