"""Services: how applications reach the primary, the replicas, any member, and each member by name."""

from __future__ import annotations

from typing import Any

from matriarch.fleet.render.meta import metadata
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names


def services(view: ClusterView, spec: Spec) -> tuple[dict[str, Any], ...]:
    """All five. The primary's has no selector: its Endpoints object is the lock, and only members write it."""
    cluster, own = view.name, labels.cluster_labels(view.name)
    replicas = {**own, labels.ROLE: labels.ROLE_REPLICA, labels.READS: "true"}
    return (
        _service(view, spec, names.primary_service(cluster), {"type": "ClusterIP"}),
        _service(view, spec, names.replicas_service(cluster), {"type": "ClusterIP", "selector": replicas}),
        _service(view, spec, names.any_service(cluster), {"type": "ClusterIP", "selector": own}),
        _service(
            view,
            spec,
            names.pods_service(cluster),
            {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": own},
        ),
        # Without a Service of its name the endpoints controller removes the settings object (after Patroni).
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(view, names.config_object(cluster)),
            "spec": {"clusterIP": "None"},
        },
    )


def _service(view: ClusterView, spec: Spec, name: str, body: dict[str, Any]) -> dict[str, Any]:
    port = {
        "name": names.PORT_NAME,
        "port": names.POSTGRES_PORT,
        "protocol": "TCP",
        "targetPort": names.POSTGRES_PORT,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(view, name, annotations=dict(spec.service_annotations)),
        "spec": {**body, "ports": [port]},
    }
