"""Kept volumes tell who has all that was acknowledged, from a cluster's deletion until the next one serves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.actions import Create, Patch
from matriarch.fleet.plan import decide
from matriarch.fleet.stages.kept import LAST_SYNC, forgotten, kept, noted, out_of_reach
from matriarch.fleet.stages.objects import ensure
from matriarch.fleet.view import ClusterView, Key
from matriarch.kube.api import Object
from matriarch.words import labels

SYNC = {"leader": "demo-1", "sync_standby": "demo-2", "quorum": "0"}
NOTE = json.dumps(SYNC, separators=(",", ":"))


def claim(ordinal: int, note: str = "", cluster: str = "demo") -> tuple[Key, Object]:
    name = f"data-demo-{ordinal}"
    metadata = {"name": name, "uid": name, "labels": labels.cluster_labels(cluster), "annotations": {}}
    if note:
        metadata["annotations"] = {LAST_SYNC: note}
    return ("PersistentVolumeClaim", name), {"metadata": metadata, "spec": {}, "status": {}}


def a_cluster(*claims: tuple[Key, Object], sync: dict[str, str] | None = None, **spec: Any) -> ClusterView:
    children = dict(claims)
    if sync is not None:
        children["Endpoints", "demo-sync"] = {"metadata": {"name": "demo-sync", "annotations": sync}}
    return a_view(children, **spec)


def serving(*claims: tuple[Key, Object]) -> ClusterView:
    said = json.dumps({"role": "primary", "state": "running"})
    pod = {
        "metadata": {"name": "demo-0", "uid": "u", "annotations": {labels.STATUS: said}},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    records = {"demo": {"leader": "demo-0"}, "demo-config": {"initialize": "7000000000000000001", "config": "{}"}}
    children: dict[Key, Object] = {("Pod", "demo-0"): pod, **dict(claims)}
    for name, notes in records.items():
        children["Endpoints", name] = {"metadata": {"name": name, "resourceVersion": "1", "annotations": notes}}
    return a_view(children)


def written(patches: tuple[Patch, ...]) -> dict[str, str | None]:
    return {patch.name: patch.body["metadata"]["annotations"][LAST_SYNC] for patch in patches}


def test_each_claim_gets_the_note_once() -> None:
    view = a_cluster(claim(0), claim(1, NOTE), claim(2, "old"), sync=SYNC | {"matriarch.dev/written": "x"})
    assert written(noted(view)) == {"data-demo-0": NOTE, "data-demo-2": NOTE}
    assert noted(a_cluster(claim(0), sync={"leader": ""})) == (), "an asynchronous cluster names nobody"


def test_a_new_sync_object_tells_what_the_claims_tell() -> None:
    view = a_cluster(claim(0, NOTE), claim(1, NOTE), claim(2))
    assert kept(view) == SYNC
    assert view.spec is not None
    made = [one for one in ensure(view, view.spec, 3).actions if isinstance(one, Create) and one.name == "demo-sync"]
    assert made[0].body["metadata"]["annotations"].items() >= SYNC.items()


@pytest.mark.parametrize(
    "claims",
    [
        [claim(0), claim(1)],
        [claim(0, NOTE), claim(1, '{"leader":"demo-0"}')],
        [claim(0, "[1]"), claim(1, "[1]")],
        [claim(0, '{"leader":7}'), claim(1)],
        [claim(0, NOTE)],
    ],
    ids=["no note", "two stories", "no object", "no name", "none of theirs is there"],
)
def test_a_note_that_is_of_no_use_is_not_heeded(claims: list[tuple[Key, Object]]) -> None:
    assert kept(a_cluster(*claims)) == {}


def test_too_few_members_are_told_of() -> None:
    claims = [claim(ordinal, NOTE) for ordinal in range(3)]
    view = a_cluster(*claims, instances=1)
    assert view.spec is not None
    (told,) = out_of_reach(view, view.spec)
    assert "demo-1 and demo-2" in told and "raise instances" in told
    status = decide(view).status
    assert status is not None and told in json.dumps([condition.message for condition in status.conditions])
    enough = a_cluster(*claims, instances=2)
    assert enough.spec is not None and out_of_reach(enough, enough.spec) == ()
    alone = a_cluster(*claims, instances=1, synchronous={"mode": "off"})
    assert alone.spec is not None and out_of_reach(alone, alone.spec) == (), "this person does without"


def test_the_notes_go_once_a_primary_serves() -> None:
    assert forgotten(a_cluster(claim(0, NOTE), claim(1, NOTE))) == ()
    view = serving(claim(0, NOTE), claim(1))
    assert written(forgotten(view)) == {"data-demo-0": None}
    assert kept(view) == {}


def test_claims_of_others_are_left_alone() -> None:
    assert noted(a_cluster(claim(0, cluster="other"), sync=SYNC)) == ()
    assert kept(a_cluster(claim(1, NOTE, cluster="other"))) == {}
