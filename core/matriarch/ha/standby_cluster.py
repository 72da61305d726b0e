"""A standby cluster: a cluster that follows another one, from the setting `standby_cluster` (after Patroni)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from matriarch.ha.written import whole

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,252}", re.ASCII)
_SLOT = re.compile(r"[a-z0-9_]{1,63}", re.ASCII)
_KEYS = ("host", "port", "restore_command")
MOST_HOSTS = 16


@dataclass(frozen=True, slots=True)
class StandbyCluster:
    """Where the primary of the other cluster answers: at one address that goes along with it, or at one of several,
    written with commas in between, of which the one counts that takes writes (after Patroni).

    Without `host` nobody is followed: the document did not name anybody who could be. `slot` is a replication slot over
    there that a person made; None: no slot.
    """

    host: str = ""
    port: int = 5432
    slot: str | None = None


def standby_cluster_from(value: object) -> StandbyCluster | None:
    """The setting as it may have been written; None: the cluster has a primary of its own.

    A section that cannot be used is no reason to promote: it makes a standby cluster that follows nobody.
    """
    if not isinstance(value, Mapping) or not any(value.get(key) for key in _KEYS):
        return None
    host, slot, port = value.get("host"), value.get("primary_slot_name"), whole(value.get("port"), 5432)
    return StandbyCluster(
        host=_hosts(host) if 0 < port < 65536 else "",
        port=port if 0 < port < 65536 else 5432,
        slot=slot if isinstance(slot, str) and _SLOT.fullmatch(slot) else None,
    )


def _hosts(value: object) -> str:
    """The hosts without blanks in between; none at all when one of them cannot be one."""
    hosts = [host.strip() for host in value.split(",")] if isinstance(value, str) else []
    usable = 0 < len(hosts) <= MOST_HOSTS and all(_HOST.fullmatch(host) for host in hosts)
    return ",".join(hosts) if usable else ""
