"""Kept volumes tell who has all that was acknowledged, from a cluster's deletion until the next one serves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.actions import Create, Patch
from matriarch.fleet.plan import decide
from matriarch.fleet.stages.kept import FROM_NOTES, LAST_SYNC, forgotten, kept, noted, out_of_reach, taken_back
from matriarch.fleet.stages.objects import ensure
from matriarch.fleet.sync_record import SyncRecord, read_sync
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
        metadata = {"name": "demo-sync", "labels": labels.cluster_labels("demo"), "resourceVersion": "4"}
        children["Endpoints", "demo-sync"] = {"metadata": {**metadata, "annotations": sync}}
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
    assert made[0].body["metadata"]["annotations"].items() >= (SYNC | {FROM_NOTES: NOTE}).items()


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


def laid_down(*claims: tuple[Key, Object], **changed: str) -> ClusterView:
    view = a_cluster(*claims, sync=SYNC | {FROM_NOTES: NOTE} | changed, instances=1)
    records: dict[Key, Object] = {
        ("Endpoints", "demo-config"): {"metadata": {"name": "demo-config", "resourceVersion": "1"}}
    }
    return replace(view, children={**view.children, **records})


def emptied(view: ClusterView) -> list[Patch]:
    assert view.spec is not None
    plan = decide(view)
    return [one for one in plan.actions if isinstance(one, Patch) and one.name == "demo-sync"]


def test_what_was_laid_down_is_told_of_until_a_person_takes_the_notes_off() -> None:
    view = laid_down(claim(0, NOTE), claim(1, NOTE))
    assert view.spec is not None
    (told,) = out_of_reach(view, view.spec)
    assert f"remove the annotation {LAST_SYNC} from the claims" in told
    assert emptied(view) == []
    without = laid_down(claim(0), claim(1))
    (patch,) = emptied(without)
    gone = dict.fromkeys(("leader", "sync_standby", "quorum", FROM_NOTES))
    assert patch.body == {"metadata": {"resourceVersion": "4", "annotations": gone}}


def test_what_the_members_wrote_is_theirs() -> None:
    assert taken_back(laid_down(claim(0), leader="demo-0")) == ()
    assert taken_back(a_cluster(claim(0), sync=SYNC)) == ()
    led = laid_down(claim(0))
    for lock in (replace(led.lock, initialized=True), replace(led.lock, leader="demo-1")):
        assert taken_back(replace(led, lock=lock)) == ()


def test_a_sync_object_that_is_not_of_the_notes_is_named_itself() -> None:
    view = a_cluster(claim(0), sync=SYNC, instances=1)
    assert view.spec is not None
    (told,) = out_of_reach(view, view.spec)
    assert "remove the annotation leader from Endpoints demo-sync" in told


QUORUM = {"leader": "demo-0", "sync_standby": "demo-1,demo-2,demo-3", "quorum": "1"}


@pytest.mark.parametrize(
    ("sync", "present", "so"),
    [
        (SYNC, {"demo-1"}, True),
        (SYNC, {"demo-2"}, True),
        (SYNC, {"demo-0"}, False),
        (QUORUM, {"demo-0"}, True),
        (QUORUM, {"demo-1"}, False),
        (QUORUM, {"demo-1", "demo-3"}, True),
        ({}, {"demo-1"}, False),
        (SYNC | {"quorum": "many"}, {"demo-2"}, True),
    ],
)
def test_the_leader_or_enough_standbys_have_everything(sync: dict[str, str], present: set[str], so: bool) -> None:
    assert read_sync(sync).enough(present) is so


def test_blanks_and_gaps_name_nobody() -> None:
    told = {"leader": "demo-0", "sync_standby": " demo-1,, demo-2 ,", "quorum": "\u0661"}
    assert read_sync(told) == SyncRecord("demo-0", ("demo-1", "demo-2"), 0)
    view = a_cluster(sync=told | {"quorum": "1"})
    assert view.lock.sync == read_sync(told | {"quorum": "1"}), "it is read once"


def test_in_quorum_mode_votes_count() -> None:
    note = json.dumps(QUORUM, separators=(",", ":"))
    assert kept(a_cluster(claim(1, note), claim(2))) != {}
    assert kept(a_cluster(claim(1, note))) == {}, "one of three is not enough"
    gone = QUORUM | {"leader": "demo-9"}
    kept_by_two = a_cluster(claim(1), claim(2), claim(3), sync=gone, instances=2)
    assert kept_by_two.spec is not None
    (told,) = out_of_reach(kept_by_two, kept_by_two.spec)
    assert "that of demo-9, or those of 2 of demo-1, demo-2, demo-3 together" in told
    three = a_cluster(claim(1), claim(2), claim(3), sync=gone, instances=3)
    assert three.spec is not None and out_of_reach(three, three.spec) == ()


def test_an_asynchronous_cluster_leaves_no_notes_of_earlier_times() -> None:
    view = a_cluster(claim(0, NOTE), claim(1), sync={})
    assert noted(view) == (), "it was never led: they hold still"
    assert written(noted(replace(view, lock=replace(view.lock, initialized=True)))) == {"data-demo-0": None}


def test_the_notes_go_before_volumes_grow() -> None:
    name, small = claim(0, NOTE)
    small |= {"spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound"}}
    view = serving((name, small))
    metadata = {"name": "demo", "labels": labels.cluster_labels("demo")}
    workload = {"metadata": metadata, "spec": {"replicas": 1, "template": {"metadata": {}}}}
    children = {**view.children, ("StatefulSet", "demo"): workload}
    view = a_view(children, instances=1, storage={"size": "2Gi"})
    done = [one for one in decide(view).actions if isinstance(one, Patch) and one.name == "data-demo-0"]
    assert ["metadata" in one.body for one in done] == [True, False]


def test_the_notes_go_once_a_primary_serves() -> None:
    assert forgotten(a_cluster(claim(0, NOTE), claim(1, NOTE))) == ()
    view = serving(claim(0, NOTE), claim(1))
    assert written(forgotten(view)) == {"data-demo-0": None}
    assert kept(view) == {}


def test_claims_of_others_are_left_alone() -> None:
    assert noted(a_cluster(claim(0, cluster="other"), sync=SYNC)) == ()
    assert kept(a_cluster(claim(1, NOTE, cluster="other"))) == {}
