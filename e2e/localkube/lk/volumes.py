"""What the storage controller decides: which volume a claim gets, and which volumes are to be reclaimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lk.settings import PROVISIONER

SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"

Manifest = dict[str, Any]


def own_classes(classes: list[Manifest]) -> dict[str, Manifest]:
    """The storage classes that name this provisioner, by name."""
    return {item["metadata"]["name"]: item for item in classes if item.get("provisioner") == PROVISIONER}


def volume_name(claim: Manifest) -> str:
    """One volume per claim, whatever happens in between: its name follows from the claim's uid."""
    return f"pvc-{claim['metadata']['uid']}"


def volume_for(claim: Manifest, classes: Mapping[str, Manifest], folders: Mapping[str, str]) -> Manifest | None:
    """The volume that `claim` waits for; None when it waits for nothing of ours.

    A claim of a `WaitForFirstConsumer` class waits until the scheduler has written the pod's node on it. `folders` has
    the folder for volumes of each node. A claim of block mode gets nothing: volumes here are folders.
    """
    metadata, spec = claim["metadata"], claim["spec"]
    storage_class = classes.get(spec.get("storageClassName") or "")
    node: str = (metadata.get("annotations") or {}).get(SELECTED_NODE, "")
    bound = spec.get("volumeName") or claim.get("status", {}).get("phase") != "Pending"
    if storage_class is None or bound or metadata.get("deletionTimestamp") or node not in folders:
        return None
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        return None
    name = volume_name(claim)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": {"path": f"{folders[node]}/{name}"},
            "nodeAffinity": _only_on(node),
        },
    }


def _only_on(node: str) -> Manifest:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def to_reclaim(volume: Manifest) -> bool:
    """Whether the volume is ours, its claim is gone, and nobody asked to keep what is in it."""
    annotations = volume["metadata"].get("annotations") or {}
    return (
        annotations.get(PROVISIONED_BY) == PROVISIONER
        and volume.get("status", {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and not volume["metadata"].get("deletionTimestamp")
    )


def folder_of(volume: Manifest, folders: Mapping[str, str]) -> str | None:
    """The folder to wipe: only one that this controller would have made for this very volume, else None.

    A person may edit a volume, and a path from a manifest is never trusted to be removed.
    """
    path = volume["spec"].get("local", {}).get("path")
    name = volume["metadata"]["name"]
    return path if path in {f"{folder}/{name}" for folder in folders.values()} and "/" not in name else None
