"""Changes to the cluster settings that come in over REST (after Patroni), and refusals in general."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matriarch.ha.commands import commands_from
from matriarch.ha.documents.wire import Document, encode
from matriarch.ha.slots import ALIASES, slots_from
from matriarch.ha.standby_cluster import standby_cluster_from

MAX_SETTINGS = 64 * 1024
"""Bytes. The settings share 256 KiB of annotations with the history."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not carried out: an HTTP status and a sentence for a person."""

    status: int
    text: str


def merge_config(current: Mapping[str, Any], patch: Mapping[str, Any]) -> Document:
    """`current` with `patch` merged in; neither is changed.

    null takes a key away, an object merges into an object and replaces anything else, a scalar that reads the same
    as the present one leaves it (so `"30"` does not rewrite 30), and what is new is added. Key order is kept.
    """
    merged: Document = dict(current)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            present = merged.get(key)
            merged[key] = merge_config(present if isinstance(present, Mapping) else {}, value)
        elif key not in merged or isinstance(merged[key], Mapping | list) or str(merged[key]) != str(value):
            merged[key] = value
    return merged


def check_settings(document: Mapping[str, Any]) -> Refusal | None:
    """Whether a whole document may be written: it must fit, and its sections must have the right shape.

    A document whose sections are misshapen would silently count as absent for every reader.
    """
    if len(encode(document).encode()) > MAX_SETTINGS:
        return Refusal(400, f"The cluster settings would be larger than {MAX_SETTINGS} bytes")
    other = document.get("standby_cluster")
    if other is not None and not isinstance(other, Mapping):
        return Refusal(400, "standby_cluster must be an object; null makes the cluster primary")
    wanted = standby_cluster_from(other)
    if wanted is not None and not wanted.host:
        return Refusal(400, "standby_cluster.host must be the other cluster's primary, or hosts with commas in between")
    refusal = _check_parts(document)
    if refusal is not None:
        return refusal
    postgres = document.get("postgresql")
    if postgres is not None and not isinstance(postgres, Mapping):
        return Refusal(400, "postgresql must be an object")
    section = postgres or {}
    if not isinstance(section.get("parameters", {}), Mapping | None):
        return Refusal(400, "postgresql.parameters must be an object")
    for key in ("pg_hba", "pg_ident"):
        if not isinstance(section.get(key, []), list | None):
            return Refusal(400, f"postgresql.{key} must be a list of lines")
    return None


def _check_parts(document: Mapping[str, Any]) -> Refusal | None:
    for key in ALIASES:
        if not isinstance(document.get(key), Mapping | None):
            return Refusal(400, f"{key} must be an object: a slot's name and what it is")
    if not isinstance(document.get("ignore_slots"), list | None):
        return Refusal(400, "ignore_slots must be a list of objects with name, type, database or plugin")
    for name, why in slots_from(document).problems.items():
        return Refusal(400, f"slots.{name!r}: {why}"[:300])
    for where, why in commands_from(document).problems.items():
        return Refusal(400, f"{where}: {why}"[:300])
    return None
