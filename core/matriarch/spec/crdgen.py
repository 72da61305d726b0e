"""Writes the CustomResourceDefinition from the typed model: `python -m matriarch.spec.crdgen > crds/...yaml`.

msgspec emits JSON Schema; Kubernetes wants a *structural* OpenAPI v3 schema. The difference is small and closed:
references are inlined, null alternatives dropped, an enum gets its type, `int or string` becomes Kubernetes' own
extension. Any construct that is not known here stops the generation: better no CRD than one that accepts everything.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from matriarch.spec import rules
from matriarch.spec.cluster import Spec
from matriarch.spec.resource import GROUP_VERSION, KIND
from matriarch.spec.status import Status

Schema = dict[str, Any]
_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
_HANDLED = {
    *_KEPT,
    "$ref",
    "anyOf",
    "title",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "propertyNames",
}


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """The structural form of one JSON Schema node. Raises ValueError for a construct that it does not know."""
    node = _resolved(dict(schema), definitions)
    unknown = node.keys() - _HANDLED
    if unknown:
        raise ValueError(f"no structural form for {sorted(unknown)}")
    node = _without_alternatives(node, definitions)
    result = {key: node[key] for key in _KEPT if key in node and node[key] is not None}
    result.update({key: value for key, value in node.items() if key.startswith("x-kubernetes-")})
    if "enum" in node and "type" not in node and "x-kubernetes-preserve-unknown-fields" not in node:
        result["type"] = "string"
    if "properties" in node:
        result["properties"] = {name: structural(child, definitions) for name, child in node["properties"].items()}
        if node.get("required"):
            result["required"] = node["required"]
    if "items" in node:
        result["items"] = structural(node["items"], definitions)
    if "additionalProperties" in node:
        result["additionalProperties"] = structural(node["additionalProperties"], definitions)
    if result.get("default") in ("", (), [], {}):
        # The rules see a default before its own fields' defaults are filled in: it has to be complete.
        result["default"] = {name: child["default"] for name, child in _fields(result) if "default" in child}
        if not result["default"]:
            del result["default"]
    return result


def _fields(schema: Schema) -> list[tuple[str, Schema]]:
    return list(schema.get("properties", {}).items())


def _without_defaults(schema: Schema) -> Schema:
    """A status is written by one program only: what it leaves out is absent, not filled in."""
    schema.pop("default", None)
    for child in (*schema.get("properties", {}).values(), schema.get("items")):
        if child is not None:
            _without_defaults(child)
    return schema


def _resolved(node: Schema, definitions: Mapping[str, Any]) -> Schema:
    """The node with its reference replaced by what it refers to; what stands beside the reference wins."""
    while "$ref" in node:
        target = definitions[node.pop("$ref").removeprefix("#/$defs/")]
        node = {**target, **node}
    return node


def _without_alternatives(node: Schema, definitions: Mapping[str, Any]) -> Schema:
    """The node with `anyOf` in one of the three forms that a structural schema can say."""
    alternatives = [_resolved(dict(one), definitions) for one in node.pop("anyOf", [])]
    alternatives = [one for one in alternatives if one.get("type") != "null"]
    if node.get("default", ...) is None:
        del node["default"]
    if not alternatives:
        return node
    types = {one.get("type", "enum") for one in alternatives}
    if len(alternatives) == 1:
        return {**alternatives[0], **node}
    if types in ({"integer", "string"}, {"integer", "number", "boolean", "string"}):
        return {**node, "x-kubernetes-int-or-string": True}
    if types == {"enum", "boolean"}:
        # A word such as `on` is a boolean to YAML when it is not quoted: both spellings are listed. No single type
        # covers them, which a structural schema allows only here; the enum still admits nothing else.
        words = next(one["enum"] for one in alternatives if "enum" in one)
        return {**node, "enum": [*words, True, False], "x-kubernetes-preserve-unknown-fields": True}
    raise ValueError(f"no structural form for alternatives of {sorted(types)}")


def _root() -> Schema:
    schemas, definitions = msgspec.json.schema_components([Spec, Status], ref_template="#/$defs/{name}")
    spec, status = (structural(schema, definitions) for schema in schemas)
    spec.update(rules.cel(rules.STRICT_NEEDS_REPLICAS, rules.COUNT_NEEDS_REPLICAS, rules.SOMEBODY_MAY_LEAD))
    return {
        "type": "object",
        "description": "A highly available PostgreSQL cluster.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _without_defaults(status),
        },
        **rules.cel(rules.CLUSTER_NAME_LENGTH, rules.CLUSTER_NAME_FORM),
    }


def definition() -> dict[str, Any]:
    """The whole CustomResourceDefinition."""
    group, version = GROUP_VERSION.split("/")
    columns = (
        ("Instances", "integer", ".spec.instances", "Members asked for"),
        ("Ready", "integer", ".status.readyInstances", "Members that are ready"),
        ("Primary", "string", ".status.primary", "The member that holds the lock"),
        ("Status", "string", ".status.phase", "What the cluster is doing"),
        ("Age", "date", ".metadata.creationTimestamp", ""),
    )
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"postgresclusters.{group}"},
        "spec": {
            "group": group,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": "postgresclusters",
                "singular": "postgrescluster",
                "shortNames": ["pgc"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.instances",
                            "statusReplicasPath": ".status.instances",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} | ({"description": text} if text else {})
                        for name, kind, path, text in columns
                    ],
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def text() -> str:
    """The CustomResourceDefinition as the YAML that is committed."""
    head = "# Generated from core/matriarch/spec by `python -m matriarch.spec.crdgen`. Do not edit.\n"
    return head + yaml.dump(definition(), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(text())
