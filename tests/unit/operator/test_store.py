"""The store: newer wins, deletions are exact, and a renewal of the lock wakes nobody."""

from __future__ import annotations

import json
from typing import Any

from matriarch.kube import api
from matriarch.kube.api import Object
from matriarch_operator.store import ClusterKey, Store

KEY = ("db", "demo")


def _found(name: str, version: int, uid: str = "a", cluster: str = "demo", **annotations: str) -> Object:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "db",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"cluster-name": cluster},
        "annotations": annotations,
    }
    return {"metadata": metadata}


def _store() -> tuple[Store, list[ClusterKey]]:
    woken: list[ClusterKey] = []
    return Store(woken.append), woken


def test_an_event_that_is_older_than_our_own_write_is_ignored() -> None:
    store, _ = _store()
    store.put_child(KEY, api.PODS, _found("demo-0", 10))
    store.child_changed(api.PODS, _found("demo-0", 7), _found("demo-0", 8))
    assert store.children(KEY)["Pod", "demo-0"]["metadata"]["resourceVersion"] == "10"


def test_a_late_deletion_of_an_earlier_object_does_not_remove_its_successor() -> None:
    store, _ = _store()
    store.put_child(KEY, api.SERVICES, _found("demo", 10, uid="new"))
    store.child_changed(api.SERVICES, _found("demo", 5, uid="old"), None)
    assert ("Service", "demo") in store.children(KEY)
    store.child_changed(api.SERVICES, _found("demo", 10, uid="new"), None)
    assert ("Service", "demo") not in store.children(KEY)


def test_renewals_of_the_lock_wake_nobody_and_a_new_leader_does() -> None:
    store, woken = _store()
    first = _found("demo", 1, leader="demo-0", renewTime="1", optime="5")
    store.child_changed(api.ENDPOINTS, None, first)
    woken.clear()
    second = _found("demo", 2, leader="demo-0", renewTime="2", optime="6")
    store.child_changed(api.ENDPOINTS, first, second)
    assert woken == []
    store.child_changed(api.ENDPOINTS, second, _found("demo", 3, leader="demo-1", renewTime="3", optime="6"))
    assert woken == [KEY]


def _pod(version: int, position: int, **said: Any) -> Object:
    return _found("demo-0", version, status=json.dumps({"state": "running", "xlog_location": position, **said}))


def test_a_member_that_only_wrote_more_wakes_nobody_at_once() -> None:
    woken: list[ClusterKey] = []
    moved: list[ClusterKey] = []
    store = Store(woken.append, moved=moved.append)
    first = _pod(1, 5)
    store.child_changed(api.PODS, None, first)
    woken.clear()
    second = _pod(2, 6, dcs_last_seen=7)
    store.child_changed(api.PODS, first, second)
    assert (woken, moved) == ([], [KEY])
    assert store.children(KEY)["Pod", "demo-0"] is second, "and is known all the same"
    for changed in (
        _pod(3, 6, pending_restart=True),
        _pod(3, 6, replication_state="streaming"),
        second | {"status": {"phase": "Failed"}},
        {"metadata": second["metadata"] | {"labels": {"cluster-name": "demo", "role": "primary"}}},
    ):
        store.child_changed(api.PODS, second, changed)
    assert woken == [KEY] * 4


def test_what_a_person_asks_for_is_told_from_what_we_report() -> None:
    woken: list[ClusterKey] = []
    asked: list[ClusterKey] = []
    store = Store(woken.append, asked.append)
    resource = _found("demo", 1)
    changes: list[dict[str, Any]] = [
        {},
        {"generation": 2},
        {"annotations": {"matriarch.dev/switchover": "any"}},
        {"deletionTimestamp": "2026-01-02T03:04:05Z"},
    ]
    for number, change in enumerate(changes, 1):
        metadata = resource["metadata"] | change | {"resourceVersion": str(2 * number)}
        resource = {"metadata": metadata}
        store.put_cluster(resource)
        reported = metadata | {
            "resourceVersion": str(2 * number + 1),
            "annotations": metadata["annotations"] | {"x": "y"},
        }
        store.put_cluster({"metadata": reported, "status": {"phase": "Running"}})
    assert (len(asked), len(woken)) == (4, 4)


def test_an_object_that_changes_its_cluster_leaves_the_old_one() -> None:
    store, woken = _store()
    before, after = _found("x", 1), _found("x", 2, cluster="other")
    store.child_changed(api.SECRETS, None, before)
    woken.clear()
    store.child_changed(api.SECRETS, before, after)
    assert store.children(KEY) == {}
    assert ("Secret", "x") in store.children(("db", "other"))
    assert woken == [KEY, ("db", "other")]


def test_an_older_version_of_a_cluster_is_ignored() -> None:
    store, woken = _store()
    store.put_cluster(_found("demo", 5))
    store.put_cluster(_found("demo", 4))
    assert store.clusters[KEY]["metadata"]["resourceVersion"] == "5"
    assert woken == [KEY]
    store.drop_cluster(KEY)
    store.drop_cluster(KEY)
    assert woken == [KEY, KEY]


def test_a_late_deletion_of_an_earlier_cluster_does_not_remove_its_successor() -> None:
    store, woken = _store()
    store.put_cluster(_found("demo", 5, uid="new"))
    store.drop_cluster(KEY, "old")
    assert (KEY in store.clusters, woken) == (True, [KEY])
    store.drop_cluster(KEY, "new")
    assert KEY not in store.clusters


async def test_a_name_is_foreign_for_a_while() -> None:
    store, _ = _store()
    store.mark_foreign(KEY, ("Service", "demo"))
    assert store.foreign(KEY) == {("Service", "demo")}
