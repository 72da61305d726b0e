"""Views for tests of the pure part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from matriarch.fleet.view import ClusterView, Facts, Key, Passwords, observed
from matriarch.kube.api import Object

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FACTS = Facts(now=NOW, image="matriarch/postgres:test", passwords=Passwords("app-pw", "super-pw", "repl-pw"))


def resource(name: str = "demo", **spec: Any) -> Object:
    """A PostgresCluster as the API server would show it."""
    return {
        "apiVersion": "matriarch.dev/v1",
        "kind": "PostgresCluster",
        "metadata": {
            "name": name,
            "namespace": "db",
            "uid": "11111111-2222-3333-4444-555555555555",
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": "2026-01-02T03:00:00Z",
            "finalizers": ["matriarch.dev/cleanup"],
        },
        "spec": {"storage": {"size": "1Gi"}} | spec,
    }


def a_view(children: dict[Key, Object] | None = None, facts: Facts = FACTS, **spec: Any) -> ClusterView:
    """A view of a cluster called demo."""
    found = resource(**spec)
    return observed("db", "demo", found, children or {}, facts)
