from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from lk.settings import PROVISIONER
from lk.storage import Api, RequestRefused, look
from lk.volumes import SELECTED_NODE, SIZED, bytes_of, folder_of, own_classes, to_reclaim, volume_for

CLASSES = {"localkube": {"metadata": {"name": "localkube"}, "provisioner": PROVISIONER, "reclaimPolicy": "Retain"}}


def claim(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "metadata": {"name": "data", "namespace": "shop", "uid": "u-1", "annotations": {SELECTED_NODE: "node2"}},
        "spec": {
            "storageClassName": "localkube",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Pending"},
    }
    made["metadata"].update(changes.pop("metadata", {}))
    made["spec"].update(changes.pop("spec", {}))
    return made | changes


def test_a_waiting_claim_gets_a_volume_on_the_chosen_node() -> None:
    volume = volume_for(claim(), CLASSES, {"node1": "/one", "node2": "/two"})
    assert volume is not None
    assert volume["metadata"]["name"] == "pvc-u-1"
    assert volume["spec"]["local"] == {"path": "/two/pvc-u-1"}
    assert volume["spec"]["claimRef"]["uid"] == "u-1"
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["node2"]


@pytest.mark.parametrize(
    "waiting_for_something_else",
    [
        claim(metadata={"annotations": None}),
        claim(metadata={"annotations": {SELECTED_NODE: "elsewhere"}}),
        claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        claim(spec={"storageClassName": "other"}),
        claim(spec={"storageClassName": None}),
        claim(spec={"volumeName": "taken"}),
        claim(spec={"volumeMode": "Block"}),
        claim(status={"phase": "Bound"}),
    ],
)
def test_other_claims_get_nothing(waiting_for_something_else: dict[str, Any]) -> None:
    assert volume_for(waiting_for_something_else, CLASSES, {"node2": "/two"}) is None


def test_only_own_classes_count() -> None:
    foreign = {"metadata": {"name": "fast"}, "provisioner": "someone.else"}
    assert own_classes([CLASSES["localkube"], foreign]) == CLASSES


def released(policy: str = "Delete", **metadata: Any) -> dict[str, Any]:
    volume = volume_for(claim(), CLASSES, {"node2": "/two"})
    assert volume is not None
    volume["spec"]["persistentVolumeReclaimPolicy"] = policy
    volume["status"] = {"phase": "Released"}
    volume["metadata"].update(metadata)
    return volume


def test_what_is_reclaimed() -> None:
    assert to_reclaim(released())
    assert not to_reclaim(released("Retain"))
    assert not to_reclaim(released(annotations={}))
    assert not to_reclaim(released(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert not to_reclaim(released() | {"status": {"phase": "Bound"}})


@pytest.mark.parametrize("path", ["/", "/two", "/two/../etc", "/two/pvc-u-2", "/elsewhere/pvc-u-1", None])
def test_a_path_that_was_edited_is_never_wiped(path: str | None) -> None:
    volume = released()
    volume["spec"]["local"]["path"] = path
    assert folder_of(volume, {"node2": "/two"}) is None


class FakeApi(Api):
    """The API server's part of a volume's life, with answers that can be made to fail."""

    def __init__(self, claims: list[dict[str, Any]]) -> None:
        self.classes = [deepcopy(CLASSES["localkube"]) | {"reclaimPolicy": "Delete"}]
        self.claims = claims
        self.volumes: dict[str, dict[str, Any]] = {}
        self.refuse: set[str] = set()

    def items(self, path: str) -> list[dict[str, Any]]:
        if path.endswith("storageclasses"):
            return self.classes
        return self.claims if path.endswith("claims") else list(self.volumes.values())

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        name = body["metadata"]["name"] if body else path.rpartition("/")[2]
        if name in self.refuse:
            raise RequestRefused(method, path, 500, b"not now")
        if method == "DELETE":
            return self.volumes.pop(name)
        assert body is not None
        if name in self.volumes:
            raise RequestRefused(method, path, 409, b"exists")
        self.volumes[name] = body
        return body


def test_a_volume_from_claim_to_reclaim(tmp_path: Path) -> None:
    api = FakeApi([claim()])
    folders = {"node2": str(tmp_path)}
    look(api, folders)
    look(api, folders)  # the same again before it is bound changes nothing
    folder = tmp_path / "pvc-u-1"
    assert list(api.volumes) == ["pvc-u-1"]
    assert folder.stat().st_mode & 0o777 == 0o777
    (folder / "row").write_text("kept until the claim is gone")
    api.claims = []
    look(api, folders)
    assert folder.exists()
    api.volumes["pvc-u-1"]["status"] = {"phase": "Released"}
    look(api, folders)
    assert not folder.exists()
    assert api.volumes == {}


def test_one_refused_volume_does_not_hold_up_another(tmp_path: Path) -> None:
    other = claim(metadata={"name": "more", "uid": "u-2"})
    api = FakeApi([claim(), other])
    api.refuse = {"pvc-u-1"}
    look(api, {"node2": str(tmp_path)})
    assert list(api.volumes) == ["pvc-u-2"]
    api.refuse = set()
    look(api, {"node2": str(tmp_path)})
    assert sorted(api.volumes) == ["pvc-u-1", "pvc-u-2"]


def test_a_class_may_ask_for_volumes_that_can_be_full() -> None:
    sized = {"localkube": CLASSES["localkube"] | {"parameters": {"sized": "true"}}}
    volume = volume_for(claim(), sized, {"node2": "/two"})
    assert volume is not None
    assert volume["metadata"]["annotations"][SIZED] == "1Gi"
    plain = volume_for(claim(), CLASSES, {"node2": "/two"})
    assert plain is not None
    assert SIZED not in plain["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("quantity", "count"), [("1Gi", 2**30), ("256Mi", 2**28), ("1.5k", 1500), ("2G", 2 * 10**9), ("77", 77)]
)
def test_sizes_in_bytes(quantity: str, count: int) -> None:
    assert bytes_of(quantity) == count


@pytest.mark.parametrize("quantity", ["", "Gi", "1Xi", "-"])
def test_a_size_that_is_not_understood_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        bytes_of(quantity)
