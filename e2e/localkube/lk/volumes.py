"""What the storage controller decides: which volume a claim gets, and which volumes are to be reclaimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lk.settings import PROVISIONER

SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"

SIZED = "localkube.dev/sized"
"""On a volume: how much it holds, and not one byte more. Its class has the parameter `sized: "true"`."""

Manifest = dict[str, Any]
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


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
    annotations = {PROVISIONED_BY: PROVISIONER}
    if (storage_class.get("parameters") or {}).get("sized") == "true":
        annotations[SIZED] = spec["resources"]["requests"]["storage"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": annotations},
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


def bytes_of(quantity: str) -> int:
    """A size as a claim has it. Raises ValueError for one that is not understood."""
    number = quantity.rstrip("kKMGTi")
    unit = _UNITS.get(quantity.removeprefix(number))
    if unit is None:
        raise ValueError(f"size {quantity!r}: the unit is none of {', '.join(filter(None, _UNITS))}")
    return int(float(number) * unit)


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
