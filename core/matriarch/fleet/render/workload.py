"""The StatefulSet and its disruption budget."""

from __future__ import annotations

from typing import Any

from matriarch.fleet.render.meta import all_labels, metadata
from matriarch.fleet.render.pod import pod_template
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names

VOLUME = "data"


def claim_name(cluster: str, ordinal: int) -> str:
    """The name that the StatefulSet controller gives a member's claim."""
    return f"{VOLUME}-{names.member_name(cluster, ordinal)}"


def stateful_set(view: ClusterView, spec: Spec, replicas: int) -> dict[str, Any]:
    """Pods are replaced by us alone (OnDelete), and start together: who initialises is decided by the members."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(view, view.name),
        "spec": {
            "replicas": replicas,
            "serviceName": names.pods_service(view.name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": labels.cluster_labels(view.name)},
            "template": pod_template(view, spec),
            "volumeClaimTemplates": [_claim(view, spec)],
        },
    }


def _claim(view: ClusterView, spec: Spec) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "metadata": {"name": VOLUME, "labels": all_labels(view.name)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": _template_size(view) or spec.storage.size}},
        },
    }
    if spec.storage.storage_class:
        claim["spec"]["storageClassName"] = spec.storage.storage_class
    return claim


def _template_size(view: ClusterView) -> str | None:
    """The size in a live StatefulSet: it cannot be changed there. Claims are resized one by one instead."""
    live = view.own("StatefulSet", view.name)
    for template in (live or {}).get("spec", {}).get("volumeClaimTemplates", []):
        if template["metadata"]["name"] == VOLUME:
            return str(template["spec"]["resources"]["requests"]["storage"])
    return None


def disruption_budget(view: ClusterView, replicas: int) -> dict[str, Any] | None:
    """One member at a time may be evicted, of those that the StatefulSet is told to have: while scaling down waits,
    more than are asked for. None for a single one: a budget would only block node drains."""
    if replicas == 1:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(view, view.name),
        "spec": {
            "minAvailable": replicas - 1,
            "selector": {"matchLabels": labels.cluster_labels(view.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
