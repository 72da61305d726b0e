"""Views for tests of the pure part."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from matriarch.fleet.render.settings import CHANGED_AT
from matriarch.fleet.render.workload import stateful_set
from matriarch.fleet.view import ClusterView, Facts, Key, Passwords, observed
from matriarch.kube.api import Object
from matriarch.words import labels

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


OLD_TEMPLATE, NEW_TEMPLATE = "old", "new"


def a_pod(
    name: str, template: str, *, ready: bool = True, waiting: str = "", deleting: bool = False, **said: Any
) -> Object:
    """A member's pod, made from a template, with what its agent says: by default that of a replica that streams."""
    role = said.get("role", "replica")
    status: dict[str, Any] = {"state": "running", "role": role, "xlog_location": 100} | said
    if role == "replica":
        status.setdefault("replication_state", "streaming")
    containers = [{"state": {"waiting": {"reason": waiting}}}] if waiting else []
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "annotations": {"matriarch.dev/template-hash": template, labels.STATUS: json.dumps(status)},
        }
        | ({"deletionTimestamp": NOW.isoformat()} if deleting else {}),
        "status": {
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": containers,
        },
    }


def a_rolling_view(
    *pods: Object,
    leader: str = "demo-0",
    listed: str | None = None,
    live: int | None = None,
    config_age_s: float = 60,
    **spec: Any,
) -> ClusterView:
    """A cluster whose StatefulSet has the new template and `live` replicas; without `listed` all are synchronous."""
    bare = a_view(**spec)
    assert bare.spec is not None
    workload = stateful_set(bare, bare.spec, bare.spec.instances if live is None else live)
    workload["spec"]["template"]["metadata"]["annotations"]["matriarch.dev/template-hash"] = NEW_TEMPLATE
    workload["metadata"]["generation"] = 1
    workload["status"] = {"observedGeneration": 1}
    if listed is None:
        listed = ",".join(pod["metadata"]["name"] for pod in pods if pod["metadata"]["name"] != leader)
    changed = (NOW - timedelta(seconds=config_age_s)).isoformat()
    children: dict[Key, Object] = {
        ("StatefulSet", "demo"): workload,
        ("Endpoints", "demo"): {"metadata": {"name": "demo", "annotations": {"leader": leader}}},
        ("Endpoints", "demo-config"): {
            "metadata": {"name": "demo-config", "annotations": {"initialize": "7", CHANGED_AT: changed}}
        },
        ("Endpoints", "demo-sync"): {
            "metadata": {"name": "demo-sync", "annotations": {"leader": leader, "sync_standby": listed}}
        },
    }
    children |= {("Pod", pod["metadata"]["name"]): pod for pod in pods}
    return a_view(children, **spec)
