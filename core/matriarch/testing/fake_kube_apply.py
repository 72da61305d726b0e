"""Server-side apply on plain JSON: who owns which field, what an intent changes, and what it leaves behind.

A useful subset of the real thing. Lists are atomic, except those that the table below names: their items are merged by
key (or, for sets, by value). A field that its last manager no longer wants disappears.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matriarch.kube.api import Object
from matriarch.testing.fake_kube_patch import copy_json
from matriarch.words.errors import ConflictError

Path = tuple[str, ...]
Fields = frozenset[Path]

# The `x-kubernetes-list-map-keys` of the built-in types that Matriarch writes, by the field's name.
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
SETS = frozenset({"finalizers"})
_TYPE = frozenset({"apiVersion", "kind"})
_IDENTITY = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
)


@dataclass(frozen=True, slots=True)
class Manager:
    """One owner of fields. `operation` is Apply, or Update for all other writes."""

    name: str
    operation: str
    subresource: str = ""


Ownership = dict[Manager, Fields]


def _list_keys(name: str, parents: Path) -> tuple[str, ...]:
    if name == "ports":
        return ("containerPort", "protocol") if any("ontainers" in part for part in parents) else ("port", "protocol")
    return LIST_KEYS.get(name, ())


def _item_key(item: Any, keys: tuple[str, ...]) -> str:
    # An absent protocol is TCP, which the real server fills in as a default before it compares.
    return "k:" + json.dumps({key: item.get(key, "TCP" if key == "protocol" else None) for key in keys})


def _is_keyed(value: Any, keys: tuple[str, ...]) -> bool:
    return bool(keys) and isinstance(value, list) and all(isinstance(item, dict) for item in value)


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every owned field of an intent: its path and its value. Identity (name, uid, version) belongs to nobody."""
    name = path[-1].removeprefix("f:") if path else ""
    found: dict[Path, Any] = {}
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if item is None or (path == ("f:metadata",) and key in _IDENTITY) or (not path and key in _TYPE):
                continue
            found.update(leaves(item, (*path, f"f:{key}")))
        return found
    keys = _list_keys(name, path)
    if value and _is_keyed(value, keys):
        for item in value:
            found.update(leaves(item, (*path, _item_key(item, keys))))
        return found
    if name in SETS and isinstance(value, list):
        return {(*path, f"v:{json.dumps(item)}"): item for item in value}
    return {path: value} if path else {}


def merge_intent(live: Any, intent: Any, path: Path = ()) -> Any:
    """`live` with the fields of `intent` set."""
    name = path[-1].removeprefix("f:") if path else ""
    if isinstance(intent, dict) and isinstance(live, dict):
        merged = dict(live)
        for key, item in intent.items():
            if item is not None:
                merged[key] = merge_intent(live.get(key), item, (*path, f"f:{key}"))
        return merged
    keys = _list_keys(name, path)
    if _is_keyed(intent, keys) and _is_keyed(live, keys):
        items = {_item_key(item, keys): item for item in live}
        for item in intent:
            key = _item_key(item, keys)
            items[key] = merge_intent(items.get(key), item, (*path, key))
        return list(items.values())
    if name in SETS and isinstance(live, list):
        return [*live, *(item for item in intent if item not in live)]
    return _without_nulls(intent)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return copy_json(value)


def remove_fields(value: Any, removed: Iterable[Path], kept: Fields = frozenset(), path: Path = ()) -> Any:
    """`value` without the given leaves, and without maps and list items that became empty by it and are not `kept`."""
    gone = set(removed)
    if not gone:
        return value
    name = path[-1].removeprefix("f:") if path else ""
    keys = _list_keys(name, path)
    if isinstance(value, dict):
        parts = {key: (*path, f"f:{key}") for key in value}
        rest = {key: _pruned(item, gone, kept, parts[key]) for key, item in value.items() if parts[key] not in gone}
        return {key: item for key, item in rest.items() if item is not _EMPTY}
    if _is_keyed(value, keys):
        items = (_pruned(item, gone, kept, (*path, _item_key(item, keys))) for item in value)
        return [item for item in items if item is not _EMPTY]
    if name in SETS and isinstance(value, list):
        return [item for item in value if (*path, f"v:{json.dumps(item)}") not in gone]
    return value


_EMPTY = object()


def _pruned(value: Any, gone: set[Path], kept: Fields, path: Path) -> Any:
    below = {field for field in gone if field[: len(path)] == path}
    if not below:
        return value
    rest = remove_fields(value, below, kept, path)
    return rest if rest or path in kept else _EMPTY


def apply_intent(
    live: Object, intent: Object, ownership: Ownership, manager: Manager, *, force: bool
) -> tuple[Object, Ownership]:
    """The object and the ownership after `manager` applied `intent`.

    Raises ConflictError when a field with another value belongs to another manager and `force` is off.
    """
    wanted, present = leaves(intent), leaves(live)
    fields = frozenset(wanted)
    after: Ownership = {}
    conflicts: list[str] = []
    for other, owned in ownership.items():
        if other == manager:
            continue
        contested = _contested(owned, present, wanted)
        conflicts += [f"{_readable(path)} (managed by {other.name})" for path in sorted(contested)]
        after[other] = owned - contested
    if conflicts and not force:
        raise ConflictError(f"apply failed with {len(conflicts)} conflicts: {', '.join(conflicts)}")
    held_by_others = frozenset().union(*after.values())
    dropped = ownership.get(manager, frozenset()) - fields - held_by_others
    rest = remove_fields(live, dropped - _parents(fields | held_by_others), held_by_others)
    merged = merge_intent(rest, intent)
    after = {other: owned for other, owned in after.items() if owned}
    after[manager] = fields
    return merged, after


def _parents(fields: Iterable[Path]) -> set[Path]:
    return {path[:depth] for path in fields for depth in range(1, len(path))}


def _contested(owned: Fields, present: Mapping[Path, Any], wanted: Mapping[Path, Any]) -> set[Path]:
    """Fields of another manager that an intent would change: their value, or their place by making
    what it is in something else."""
    changed = {path for path in owned & wanted.keys() if present.get(path) != wanted[path]}
    becomes_map = {path for path in owned & _parents(wanted) if present.get(path, {}) not in ({}, [])}
    loses_place = {
        path
        for path in owned
        if any(
            path[:depth] in wanted and not _may_hold(wanted[path[:depth]], path[depth]) for depth in range(1, len(path))
        )
    }
    return changed | becomes_map | loses_place


def _may_hold(value: Any, part: str) -> bool:
    """Whether a field, or an item of a list, may be below what is empty by this intent."""
    return bool(value == ({} if part.startswith("f:") else []))


def note_update(before: Object, after: Object, ownership: Ownership, writer: Manager) -> Ownership:
    """The ownership after `writer` changed the object by a patch: what it changed is now its own."""
    old, new = leaves(before), leaves(after)
    changed = frozenset(path for path, value in new.items() if old.get(path, _EMPTY) != value)
    vanished = frozenset(old) - frozenset(new)
    result = {manager: owned - changed - vanished for manager, owned in ownership.items()}
    result[writer] = result.get(writer, frozenset()) | changed
    return {manager: owned for manager, owned in result.items() if owned}


def _readable(path: Path) -> str:
    return "".join(f".{part[2:]}" if part.startswith("f:") else f"[{part[2:]}]" for part in path)


def managed_fields(ownership: Ownership, api_version: str) -> list[Object]:
    """`metadata.managedFields` for an ownership, in the API's own form."""
    entries: list[Object] = []
    for manager, owned in ownership.items():
        tree: dict[str, Any] = {}
        for path in sorted(owned):
            node = tree
            for part in path:
                node = node.setdefault(part, {})
        entry: Object = {"manager": manager.name, "operation": manager.operation, "apiVersion": api_version}
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": tree}
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return entries
