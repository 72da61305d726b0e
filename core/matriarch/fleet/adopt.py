"""Whose is an object that has a name we need? Nothing of somebody else is ever changed or deleted."""

from __future__ import annotations

from typing import Literal

from matriarch.fleet.actions import Manifest
from matriarch.words import labels

Belonging = Literal["ours", "orphan", "foreign"]


def belonging(live: Manifest, cluster: str, uid: str) -> Belonging:
    """Ours: its controller is this very PostgresCluster. Orphan: nobody's, with our labels. Foreign: all else.

    An object of an earlier PostgresCluster of the same name (another uid) counts as foreign until the garbage collector
    has removed it: adopting it would race with its removal.
    """
    for owner in live["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return "ours" if owner.get("uid") == uid else "foreign"
    found = live["metadata"].get("labels") or {}
    expected = labels.cluster_labels(cluster)
    return "orphan" if all(found.get(key) == value for key, value in expected.items()) else "foreign"
