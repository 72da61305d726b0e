"""What the members may do: the lock objects and their own pods, nothing else."""

from __future__ import annotations

from typing import Any

from matriarch.fleet.render.meta import metadata
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import MAX_INSTANCES
from matriarch.words import names

Rule = dict[str, list[str]]


def rules(cluster: str) -> list[Rule]:
    """What a member may do: read what it watches, and change the lock objects and pods of its own cluster alone.

    A list, a watch and a creation cannot be narrowed to names; what they let a member see, or make, harms no other
    cluster. The operator can grant only what it holds itself.
    """
    pods = [names.member_name(cluster, ordinal) for ordinal in range(MAX_INSTANCES)]
    return [
        _rule("endpoints", ["get", "list", "watch", "create"]),
        _rule("endpoints", ["patch"], list(names.lock_object_names(cluster))),
        _rule("pods", ["get", "list", "watch"]),
        _rule("pods", ["patch"], pods),
        _rule("events", ["create"]),
    ]


def _rule(resource: str, verbs: list[str], only: list[str] | None = None) -> Rule:
    return {"apiGroups": [""], "resources": [resource], "verbs": verbs, **({"resourceNames": only} if only else {})}


def service_account(view: ClusterView) -> dict[str, Any]:
    """The members' identity."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(view, view.name)}


def role(view: ClusterView) -> dict[str, Any]:
    """The members' rights, in their namespace only."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(view, view.name),
        "rules": rules(view.name),
    }


def role_binding(view: ClusterView) -> dict[str, Any]:
    """Gives the rights to the identity."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(view, view.name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": view.name},
        "subjects": [{"kind": "ServiceAccount", "name": view.name, "namespace": view.namespace}],
    }
