"""Metadata of everything that the operator makes."""

from __future__ import annotations

from typing import Any

from matriarch.fleet.view import ClusterView
from matriarch.spec.resource import GROUP_VERSION, KIND
from matriarch.words import labels


def all_labels(cluster: str) -> dict[str, str]:
    """The cluster's own labels and the recommended ones of Kubernetes."""
    return {
        **labels.cluster_labels(cluster),
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/instance": cluster,
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/managed-by": "matriarch",
    }


def owner(view: ClusterView) -> dict[str, Any]:
    """The reference that makes an object die with its PostgresCluster."""
    return {
        "apiVersion": GROUP_VERSION,
        "kind": KIND,
        "name": view.name,
        "uid": view.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(view: ClusterView, name: str, *, owned: bool = True, annotations: dict[str, str] | None = None) -> Any:
    """Metadata of one object. What outlives the PostgresCluster on purpose is not `owned`."""
    found: dict[str, Any] = {"name": name, "namespace": view.namespace, "labels": all_labels(view.name)}
    if annotations:
        found["annotations"] = annotations
    if owned:
        found["ownerReferences"] = [owner(view)]
    return found
