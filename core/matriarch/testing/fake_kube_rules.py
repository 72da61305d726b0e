"""What the API server does to an object on its way into the store: identity, immutable metadata, validation."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any

from matriarch.kube.api import Kind, Object
from matriarch.words.errors import ConflictError, Invalid

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
_LABEL_KEY = re.compile(r"^([a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
_WITH_STATUS = frozenset({"pods", "services", "statefulsets", "persistentvolumeclaims", "poddisruptionbudgets"})
_WITHOUT_GENERATION = frozenset({"v1", "rbac.authorization.k8s.io/v1", "coordination.k8s.io/v1"})


def has_status_subresource(kind: Kind) -> bool:
    """Whether status is written apart: some built-in kinds, and every custom resource."""
    return kind.plural in _WITH_STATUS or is_custom(kind)


def is_custom(kind: Kind) -> bool:
    """Whether the kind comes from a CustomResourceDefinition: its group has a dot and is not Kubernetes' own."""
    group, _, version = kind.group_version.rpartition("/")
    return bool(version) and "." in group and not group.endswith(".k8s.io")


def counts_generations(kind: Kind) -> bool:
    """Whether the server keeps `metadata.generation` for this kind."""
    return kind.plural == "pods" or kind.group_version not in _WITHOUT_GENERATION


def prepared(kind: Kind, namespace: str, name: str, body: Object) -> Object:
    """A body with its type, name and namespace filled in. Raises Invalid when they contradict the request."""
    expected = {"apiVersion": kind.group_version, "kind": kind.name}
    for key, value in expected.items():
        if body.get(key, value) != value:
            raise Invalid(f"{key} {body[key]!r} does not fit {kind.group_version} {kind.plural}")
    metadata = dict(body.get("metadata") or {})
    places = {"name": name, "namespace": namespace} if kind.namespaced else {"name": name}
    for key, value in places.items():
        if metadata.get(key, value) != value:
            raise Invalid(f"metadata.{key} {metadata[key]!r} does not match the request's {value!r}")
        metadata[key] = value
    return {**expected, **body, "metadata": metadata}


def validate(kind: Kind, item: Object) -> None:
    """Raises Invalid for names, labels and annotations that the real server refuses."""
    metadata = item["metadata"]
    if not _NAME.match(metadata["name"]):
        raise Invalid(f"{kind.name} {metadata['name']!r} is invalid: metadata.name: not a DNS-1123 subdomain")
    for field in ("labels", "annotations"):
        entries = metadata.get(field, {})
        if not isinstance(entries, dict):
            raise Invalid(f"metadata.{field} must be a map of strings")
        for key, value in entries.items():
            if not isinstance(value, str):
                raise Invalid(f"metadata.{field}[{key}] must be a string, not {type(value).__name__}")
            if not _allowed(key, value if field == "labels" else ""):
                raise Invalid(f"metadata.{field}: {key!r}: {value!r} is not allowed")


@lru_cache(maxsize=4096)
def _allowed(key: str, label: str) -> bool:
    return bool(_LABEL_KEY.match(key) and _LABEL_VALUE.match(label))


def stored_form(kind: Kind, item: Object) -> Object:
    """The item as it is read back: write-only and empty fields are gone. Changes `item`, which must be the caller's."""
    metadata = item["metadata"]
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        if field in metadata and not metadata[field]:
            del metadata[field]
    if kind.plural == "endpoints" and not item.get("subsets", True):
        del item["subsets"]
    if kind.plural == "secrets" and item.get("stringData") is not None:
        texts = item.pop("stringData")
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        item["data"] = {**(item.get("data") or {}), **encoded}
    return item


def check_version(kind: Kind, current: Object, metadata: Any) -> None:
    """The compare in compare-and-swap. Raises ConflictError when the body's uid or version is not the current one."""
    if not isinstance(metadata, dict):
        return
    for field in ("uid", "resourceVersion"):
        wanted = metadata.get(field)
        if wanted and wanted != current["metadata"][field]:
            raise ConflictError(
                f"{kind.plural} {current['metadata']['name']!r}: the object has been modified: {field} is "
                f"{current['metadata'][field]}, not {wanted}"
            )


def settled(kind: Kind, current: Object, changed: Object, subresource: str) -> Object:
    """What a write may really change: identity stays, status and the rest keep to their own subresource.

    Returns `current` itself when nothing is left that differs.
    """
    if subresource == "status":
        metadata = {**current["metadata"], "managedFields": changed["metadata"].get("managedFields")}
        result: Object = {**current, "metadata": metadata}
        result.pop("status", None)
        if changed.get("status") is not None:
            result["status"] = changed["status"]
    else:
        result = dict(changed)
        if has_status_subresource(kind):
            result.pop("status", None)
            if "status" in current:
                result["status"] = current["status"]
        result["metadata"] = dict(changed["metadata"])
    metadata = result["metadata"]
    for field in (*_SERVER_OWNED, "resourceVersion", "name", "namespace"):
        metadata.pop(field, None)
        if field in current["metadata"]:
            metadata[field] = current["metadata"][field]
    if not metadata.get("managedFields"):
        metadata.pop("managedFields", None)
    stored_form(kind, result)
    if result == current:
        return current
    validate(kind, result)
    if counts_generations(kind) and _intent_differs(current, result):
        metadata["generation"] = current["metadata"].get("generation", 0) + 1
    return result


def _intent_differs(before: Object, after: Object) -> bool:
    passive = ("metadata", "status")
    keys = before.keys() | after.keys()
    return any(before.get(key) != after.get(key) for key in keys if key not in passive)
