"""Hostile text in every place of a PostgresCluster that takes text, found in the definition itself.

A field that is added to the model is tried without anybody remembering to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from e2e.shell import ROOT

DEFINITION = ROOT / "crds" / "matriarch.dev_postgresclusters.yaml"
QUIET = "x'; drop table users; -- $(reboot) `id` {{ evil }} \\ \" \u202e"
"""Without a control character, so that a field for free text may take it."""
LOUD = QUIET.replace(" $(", "\n$(")
"""With a line break: nothing but an annotation takes it."""

_HARMLESS = ("a", "1Gi", "a b c", "host all all all reject")

Schema = Mapping[str, Any]


class Place(NamedTuple):
    """Where text is taken, such as `pgHba[]` or `nodeSelector{key}`, and a spec that has the text there."""

    path: str
    spec: dict[str, Any]


def places(text: Callable[[str], str]) -> list[Place]:
    """Every place, each with what `text` makes of a harmless text that could stand there."""
    definition = yaml.safe_load(DEFINITION.read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return [Place(path.removeprefix("."), value) for path, value in _within(spec, "", text)]


def _within(schema: Schema, path: str, text: Callable[[str], str]) -> Iterator[tuple[str, Any]]:
    """The paths below a node, and for each a value of this node that is harmless everywhere else."""
    if _is_text(schema):
        yield path, text(_harmless(schema))
    for name, child in schema.get("properties", {}).items():
        others = {other: _harmless(schema["properties"][other]) for other in schema.get("required", ())}
        for place, value in _within(child, f"{path}.{name}", text):
            yield place, {**others, name: value}
    if "items" in schema:
        for place, value in _within(schema["items"], f"{path}[]", text):
            yield place, [value]
    if "additionalProperties" in schema:
        values = schema["additionalProperties"]
        yield f"{path}{{key}}", {text("a"): _harmless(values)}
        for place, value in _within(values, f"{path}{{}}", text):
            yield place, {"a": value}


def _is_text(schema: Schema) -> bool:
    return bool((schema.get("type") == "string" and "enum" not in schema) or schema.get("x-kubernetes-int-or-string"))


def _harmless(schema: Schema) -> Any:
    """The smallest value that a node takes."""
    if "enum" in schema:
        return schema["enum"][0]
    if _is_text(schema):
        return next(one for one in _HARMLESS if re.search(schema.get("pattern", ""), one))
    kind = schema["type"]
    if kind == "object":
        return {name: _harmless(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [_harmless(schema["items"]) for _ in range(schema.get("minItems", 0))]
    return {"integer": schema.get("minimum", 1), "boolean": False}[kind]
