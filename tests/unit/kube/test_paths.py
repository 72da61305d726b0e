from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.kube.api import CLUSTERS, ENDPOINTS, Kind
from matriarch.kube.paths import collection_path, object_path
from matriarch.words.errors import Invalid

NODES = Kind("v1", "Node", "nodes", namespaced=False)


def test_paths_of_all_scopes() -> None:
    assert collection_path(ENDPOINTS, "ns") == "/api/v1/namespaces/ns/endpoints"
    assert collection_path(ENDPOINTS, None) == "/api/v1/endpoints"
    clusters = "/apis/matriarch.dev/v1/namespaces/ns/postgresclusters"
    assert object_path(CLUSTERS, "ns", "demo", "status") == f"{clusters}/demo/status"
    assert object_path(NODES, "", "n1") == "/api/v1/nodes/n1"


@given(st.text())
def test_a_name_is_one_segment_or_refused(name: str) -> None:
    try:
        path = object_path(ENDPOINTS, "ns", name)
    except (Invalid, UnicodeEncodeError):
        return
    head, _, last = path.rpartition("/")
    assert head == "/api/v1/namespaces/ns/endpoints"
    assert unquote(last) == name
    assert last not in ("", ".", "..")
    assert not set("?#") & set(last)


@pytest.mark.parametrize("namespace", ["", "..", "a/b"])
def test_a_namespace_is_checked_as_well(namespace: str) -> None:
    with pytest.raises(Invalid):
        object_path(ENDPOINTS, namespace, "demo")
