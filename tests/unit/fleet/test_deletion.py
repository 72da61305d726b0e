"""What goes with a cluster, and what only looks like it."""

from __future__ import annotations

import pytest
from unit.fleet.builders import FACTS, resource

from matriarch.fleet.actions import Delete
from matriarch.fleet.plan import decide
from matriarch.fleet.view import Key, observed
from matriarch.kube.api import Object
from matriarch.words import labels


def _thing(kind: str, name: str, cluster: str = "demo", **metadata: str) -> tuple[Key, Object]:
    return (kind, name), {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels.cluster_labels(cluster)} | metadata
    }


CHILDREN = dict(
    (
        _thing("PersistentVolumeClaim", "data-demo-0"),
        _thing("PersistentVolumeClaim", "data-demo-1", deletionTimestamp="2026-01-02T03:04:04Z"),
        _thing("PersistentVolumeClaim", "data-demo-2", "other"),
        _thing("PersistentVolumeClaim", "data-demo-backup"),
        _thing("PersistentVolumeClaim", "data-demo-01"),
        _thing("PersistentVolumeClaim", "data-demo-x-0"),
        _thing("PersistentVolumeClaim", "wal-demo-0"),
        _thing("Secret", "demo-app"),
        _thing("Secret", "demo-superuser", "other"),
        _thing("Secret", "demo-tls"),
        _thing("Endpoints", "demo"),
        _thing("Endpoints", "demo-sync", "other"),
    )
)


def _deleted(policy: str, children: dict[Key, Object]) -> list[str]:
    found = resource(storage={"size": "1Gi", "reclaimPolicy": policy})
    found["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:04Z"
    actions = decide(observed("db", "demo", found, children, FACTS)).actions
    return [action.name for action in actions if isinstance(action, Delete)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("Delete", ["data-demo-0", "data-demo-1", "demo-app", "demo"]), ("Retain", ["demo"])],
)
def test_only_the_members_claims_and_our_own_secrets_go(policy: str, expected: list[str]) -> None:
    assert _deleted(policy, CHILDREN) == expected


def test_the_end_waits_for_a_volume_that_is_on_its_way_out() -> None:
    key = ("PersistentVolumeClaim", "data-demo-1")
    assert _deleted("Delete", {key: CHILDREN[key]}) == ["data-demo-1"]
