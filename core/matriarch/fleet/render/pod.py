"""The pod template of a member: one container with init, agent and Postgres, at the *restricted* Pod Security level."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from matriarch.fleet.difference import digest
from matriarch.fleet.member import TEMPLATE_HASH
from matriarch.fleet.render import rest_api
from matriarch.fleet.render.meta import all_labels
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names

USER = 999
"""User and group of `postgres` in the image."""
DATA = "/var/lib/matriarch"
SECRETS = "/etc/matriarch/secrets"
STOP_SECONDS = 600
"""How long a stopping Postgres may take for its last checkpoint before it is killed."""


def pod_template(view: ClusterView, spec: Spec) -> dict[str, Any]:
    """The template, with its own digest as an annotation: a pod with another digest has to be replaced."""
    template = {
        "metadata": {"labels": all_labels(view.name), "annotations": _annotations(spec)},
        "spec": _pod(view, spec),
    }
    template["metadata"]["annotations"][TEMPLATE_HASH] = digest(template)
    return template


def _annotations(spec: Spec) -> dict[str, str]:
    # The members' own words, and ours, are not a person's to set.
    return {
        key: value
        for key, value in spec.pod_annotations.items()
        if key != labels.STATUS and not key.startswith(f"{labels.GROUP}/")
    }


def _pod(view: ClusterView, spec: Spec) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "serviceAccountName": view.name,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(view, spec)],
        "volumes": [*_volumes(view), *rest_api.volumes(spec.rest_api)],
        "affinity": _affinity(view, spec),
    }
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        pod["tolerations"] = _plain(spec.tolerations)
    if spec.topology_spread_constraints:
        pod["topologySpreadConstraints"] = _plain(spec.topology_spread_constraints)
    if spec.priority_class_name:
        pod["priorityClassName"] = spec.priority_class_name
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = _plain(spec.image_pull_secrets)
    return pod


def _container(view: ClusterView, spec: Spec) -> dict[str, Any]:
    rest = rest_api.settled(view, spec.rest_api)
    return {
        "name": "postgres",
        "image": spec.image or view.facts.image,
        "imagePullPolicy": spec.image_pull_policy,
        "command": ["matriarch-init"],
        "env": [*_environment(view, spec), *rest_api.environment(rest)],
        "ports": [
            {"name": names.PORT_NAME, "containerPort": names.POSTGRES_PORT, "protocol": "TCP"},
            *rest_api.ports(rest),
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": rest_api.probe(rest, "/readiness", periodSeconds=2, timeoutSeconds=2, failureThreshold=3),
        # No startup probe: a long crash recovery is not a reason to kill the one who does it.
        "livenessProbe": rest_api.probe(
            rest, "/liveness", initialDelaySeconds=30, periodSeconds=10, timeoutSeconds=5, failureThreshold=6
        ),
        "resources": _plain(spec.resources) if spec.resources is not None else {},
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
            {"name": "run", "mountPath": "/run/matriarch"},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
            *rest_api.mounts(rest),
        ],
    }


def _environment(view: ClusterView, spec: Spec) -> list[dict[str, Any]]:
    bootstrap = {
        "database": spec.bootstrap.database,
        "owner": spec.bootstrap.owner,
        "locale": spec.bootstrap.locale,
        "encoding": spec.bootstrap.encoding,
        "data_checksums": spec.bootstrap.data_checksums,
    }
    fields = {
        "MATRIARCH_NAMESPACE": "metadata.namespace",
        "MATRIARCH_MEMBER": "metadata.name",
        "MATRIARCH_POD_IP": "status.podIP",
        "MATRIARCH_POD_UID": "metadata.uid",
        "MATRIARCH_NODE": "spec.nodeName",
    }
    return [
        {"name": "MATRIARCH_CLUSTER", "value": view.name},
        *(
            {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
            for name, path in fields.items()
        ),
        {"name": "MATRIARCH_DATA", "value": DATA},
        {"name": "MATRIARCH_SECRETS", "value": SECRETS},
        # `$(` in a value would be expanded by the kubelet; no character of these fields allows it.
        {"name": "MATRIARCH_BOOTSTRAP", "value": json.dumps(bootstrap, sort_keys=True)},
    ]


def _volumes(view: ClusterView) -> list[dict[str, Any]]:
    sources = {
        "app": names.app_secret(view.name),
        "superuser": names.superuser_secret(view.name),
        "replication": names.replication_secret(view.name),
    }
    return [
        {
            "name": "secrets",
            "projected": {
                "defaultMode": 0o440,
                "sources": [
                    {
                        "secret": {
                            "name": name,
                            "items": [{"key": key, "path": f"{folder}/{key}"} for key in ("username", "password")],
                        }
                    }
                    for folder, name in sources.items()
                ],
            },
        },
        {"name": "run", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        # Parallel queries share memory here; the container runtime's own 64 MiB are too little for them.
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]


def _affinity(view: ClusterView, spec: Spec) -> Any:
    if spec.affinity is not None:
        return _plain(spec.affinity)
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": labels.cluster_labels(view.name)},
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value)
