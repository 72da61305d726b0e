"""Changes to the cluster settings that come in over REST (after Patroni), and refusals in general."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matriarch.ha.commands import Commands, commands_from
from matriarch.ha.documents.wire import Document, encode
from matriarch.ha.slots import ALIASES, slots_from
from matriarch.ha.standby_cluster import standby_cluster_from

MAX_SETTINGS = 64 * 1024
"""Bytes. The settings share 256 KiB of annotations with the history."""

_OTHERWISE = "give the API one (spec.restApi), or change the Endpoints object with kubectl or patronictl edit-config"


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


def check_commands(before: Mapping[str, Any], after: Mapping[str, Any], *, protected: bool) -> Refusal | None:
    """Whether this REST API may bring other programs into the settings: they run with all that Postgres may read.

    `protected`: it knows who asks. Otherwise whoever reaches the port could run anything; they may take programs away.
    """
    known = commands_from(after) in (commands_from(before), Commands())
    if protected or (known and _archive_commands(after) <= _archive_commands(before)):
        return None
    return _unknown(
        "Programs (replica methods, bootstrap, callbacks, pre_promote, before_stop, archive_command) are",
        "give it one, or change the Endpoints object with kubectl or patronictl",
    )


def check_standby(before: Mapping[str, Any], after: Mapping[str, Any], *, protected: bool) -> Refusal | None:
    """Whether this REST API may name another cluster to follow: the primary gives way to it, and the replication
    password is tried on whoever answers there.

    `protected`: it knows who asks. Taking the section away promotes the cluster and sends nothing to anybody: like a
    failover, that is for whoever reaches the port.
    """
    wanted = after.get("standby_cluster")
    if protected or wanted == before.get("standby_cluster") or standby_cluster_from(wanted) is None:
        return None
    return _unknown("standby_cluster is", f"set spec.standby of the PostgresCluster, {_OTHERWISE}")


def check_access(before: Mapping[str, Any], after: Mapping[str, Any], *, protected: bool) -> Refusal | None:
    """Whether this REST API may change who is let into the databases. `protected`: it knows who asks."""
    if protected or _access(before) == _access(after):
        return None
    return _unknown(
        "pg_hba and pg_ident are", f"set spec.pgHba or spec.pgIdent of the PostgresCluster, {_OTHERWISE}"
    )


def _unknown(what: str, instead: str) -> Refusal:
    """The API does not know who asks."""
    return Refusal(403, f"{what} taken only by a REST API that asks for a password or a certificate: {instead}")


def _access(document: Mapping[str, Any]) -> tuple[object, ...]:
    postgres = document.get("postgresql")
    section = postgres if isinstance(postgres, Mapping) else {}
    return tuple(section.get(key) or [] for key in ("pg_hba", "pg_ident"))


def check_change(before: Mapping[str, Any], after: Mapping[str, Any], *, protected: bool) -> Refusal | None:
    """Whether the settings may become `after` by a REST request: what an API that knows nobody is asked for may disturb
    the cluster, and neither open it nor lead it elsewhere."""
    return (
        check_settings(after)
        or check_access(before, after, protected=protected)
        or check_commands(before, after, protected=protected)
        or check_standby(before, after, protected=protected)
    )


def _archive_commands(document: Mapping[str, Any]) -> set[str]:
    """What the parameters give Postgres to run; a name counts however it is written."""
    postgres = document.get("postgresql")
    parameters = postgres.get("parameters") if isinstance(postgres, Mapping) else None
    given = parameters.items() if isinstance(parameters, Mapping) else ()
    return {str(value) for name, value in given if str(name).strip().lower() == "archive_command" and value}


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
