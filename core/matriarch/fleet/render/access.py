"""What the members may do: the lock objects and their own pods, nothing else."""

from __future__ import annotations

from typing import Any

from matriarch.fleet.render.meta import metadata
from matriarch.fleet.view import ClusterView

RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("", "endpoints", ("get", "list", "watch", "create", "patch", "update")),
    ("", "pods", ("get", "list", "watch", "patch")),
    ("", "events", ("create", "patch")),
)
"""API group, resource and verbs (after Patroni). The operator can grant only what it holds itself."""


def service_account(view: ClusterView) -> dict[str, Any]:
    """The members' identity."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(view, view.name)}


def role(view: ClusterView) -> dict[str, Any]:
    """The members' rights, in their namespace only.

    Not narrowed to names: list and watch cannot be, and the lock objects are created before they have been seen.
    """
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(view, view.name),
        "rules": [
            {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)} for group, resource, verbs in RULES
        ],
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
