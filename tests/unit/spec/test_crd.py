"""The CustomResourceDefinition: generated, structural, bounded, and the same wherever it is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from matriarch.spec import crdgen
from matriarch.words.names import MAX_CLUSTER_NAME
from matriarch.words.parameters import OWNED, OWNED_PREFIXES

ROOT = Path(__file__).resolve().parents[3]
COMMITTED = ROOT / "crds" / "matriarch.dev_postgresclusters.yaml"


def _version() -> dict[str, Any]:
    found: dict[str, Any] = crdgen.definition()["spec"]["versions"][0]
    return found


def _nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if part in schema:
            yield from _nodes(schema[part], f"{path}.{part}")


def _fields() -> list[tuple[str, dict[str, Any]]]:
    root = _version()["schema"]["openAPIV3Schema"]
    return [one for one in _nodes(root) if one[0].startswith((".spec", ".status"))]


def test_the_committed_file_is_what_the_model_says() -> None:
    assert COMMITTED.read_text() == crdgen.text(), "run: python -m matriarch.spec.crdgen > crds/" + COMMITTED.name


def test_the_chart_and_the_plain_install_ship_the_same() -> None:
    assert (ROOT / "helm/matriarch/files" / COMMITTED.name).read_text() == COMMITTED.read_text()
    documents = list(yaml.safe_load_all((ROOT / "manifests/install.yaml").read_text()))
    shipped = [one for one in documents if one["kind"] == "CustomResourceDefinition"]
    assert shipped == [crdgen.definition()]


def test_every_node_has_a_type_or_says_why_not() -> None:
    for path, node in _fields():
        free = node.get("x-kubernetes-int-or-string") or "enum" in node
        assert "type" in node or free, path
        assert not node.keys() & {"$ref", "anyOf", "allOf", "oneOf", "exclusiveMinimum", "propertyNames"}, path


def test_every_string_list_and_map_is_bounded() -> None:
    for path, node in _fields():
        kind = node.get("type")
        if kind == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if kind == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_unknown_fields_are_nowhere_swallowed() -> None:
    swallowing = [path for path, node in _fields() if node.get("x-kubernetes-preserve-unknown-fields")]
    assert swallowing == [".spec.synchronous.mode"], "an enum there admits scalars only"


def test_every_field_is_explained() -> None:
    silent = [
        f"{path}.{name}"
        for path, node in _fields()
        for name, child in node.get("properties", {}).items()
        if not child.get("description")
    ]
    assert silent == []


def test_every_rule_says_what_to_do() -> None:
    rules = [rule for _, node in _fields() for rule in node.get("x-kubernetes-validations", [])]
    rules += _version()["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    assert len(rules) >= 12
    for rule in rules:
        assert len(rule["message"]) > 30
        assert rule["message"][0] != " "


def test_the_rules_name_the_limits_that_the_code_has() -> None:
    text = COMMITTED.read_text()
    assert f"size() <= {MAX_CLUSTER_NAME}" in text
    for name in (*OWNED, *OWNED_PREFIXES):
        assert f"'{name}'" in text


def test_columns_and_subresources() -> None:
    version = _version()
    assert [one["name"] for one in version["additionalPrinterColumns"]] == [
        "Instances",
        "Ready",
        "Primary",
        "Status",
        "Age",
    ]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.instances",
        "statusReplicasPath": ".status.instances",
        "labelSelectorPath": ".status.selector",
    }
    assert crdgen.definition()["spec"]["names"]["shortNames"] == ["pgc"]


def test_defaults_are_complete_where_rules_look_at_them() -> None:
    spec = _version()["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["failover"]["default"] == {
        "ttl": 9,
        "loopWait": 3,
        "retryTimeout": 3,
        "failsafe": True,
        "maximumLag": "1Mi",
    }
    assert spec["synchronous"]["default"]["mode"] == "on"
    assert spec["instances"]["default"] == 3
    assert "default" not in spec["storage"]


def test_a_construct_that_is_not_known_stops_the_generation() -> None:
    with pytest.raises(ValueError, match="no structural form"):
        crdgen.structural({"type": "string", "contentEncoding": "base64"}, {})
    with pytest.raises(ValueError, match="no structural form"):
        crdgen.structural({"anyOf": [{"type": "string"}, {"type": "array"}]}, {})
