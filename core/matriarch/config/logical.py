"""Settings with which PostgreSQL 17 itself copies logical slots to standbys, and keeps consumers behind them.

A standby that copies slots reports its oldest row (hot_standby_feedback): the primary must keep the catalogue rows that
the copied slots still need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matriarch.words.names import slot_name

FROM_MAJOR = 17
WAL_LEVEL = "wal_level"
DECODABLE = "logical"
"""The wal_level that logical slots need. A server ends at once when it is to copy slots and runs with a lower one, and
does not start with one while it has such a slot."""
COPYING: Mapping[str, str] = {"hot_standby_feedback": "on", "sync_replication_slots": "on"}
GATE = "synchronized_standby_slots"
"""Consumers of logical slots with `failover` get no change that these members do not have."""


def gate(members: Iterable[str]) -> dict[str, str]:
    """No consumer gets ahead of `members`: those who may be promoted without loss."""
    return {GATE: ", ".join(sorted(slot_name(member) for member in members))}
