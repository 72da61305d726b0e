"""Which Postgres parameters are in force: our defaults, then the user's, then what the cluster depends on.

The layers and minimums follow Patroni's; timeouts are shorter, since failover here takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from matriarch.config.quantities import Quantity, parse_quantity
from matriarch.config.quoting import check_printable
from matriarch.words.errors import Invalid
from matriarch.words.parameters import owned

DEFAULTS: Mapping[str, str] = {
    "datestyle": "iso, mdy",
    "default_text_search_config": "pg_catalog.english",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_timezone": "UTC",
    "max_connections": "100",
    "max_locks_per_transaction": "64",
    "max_prepared_transactions": "0",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "max_worker_processes": "8",
    "password_encryption": "scram-sha-256",
    "recovery_init_sync_method": "syncfs",
    "synchronous_commit": "on",
    "tcp_keepalives_count": "3",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_user_timeout": "5s",
    "timezone": "UTC",
    "wal_keep_size": "128MB",
    "wal_level": "replica",
    "wal_log_hints": "on",
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "500ms",
    "wal_sender_timeout": "5s",
}

FORCED: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "hot_standby": "on",
    "listen_addresses": "*",
    "log_destination": "stderr",
    "logging_collector": "off",
    "recovery_target_timeline": "latest",
    "restart_after_crash": "off",
}
"""Fixed values. The port, the directories and everything about replication come from the member's state."""

MINIMUMS: Mapping[str, int] = {
    "max_connections": 25,
    "max_locks_per_transaction": 32,
    "max_prepared_transactions": 0,
    "max_replication_slots": 4,
    "max_wal_senders": 3,
    "max_worker_processes": 2,
}
WAL_KEEP_LEAST = 16 << 20
WAL_LEVELS: Mapping[str, str] = {
    "replica": "replica",
    "hot_standby": "replica",
    "archive": "replica",
    "logical": "logical",
}

ARCHIVING = frozenset({"archive_command", "archive_mode"})
CONTROLLED = frozenset({*MINIMUMS, *ARCHIVING, "track_commit_timestamp", "wal_level", "wal_log_hints"})
"""What all members must agree on: the cluster settings change it, never ALTER SYSTEM on one member. Patroni's list, and
the archive, which would else have a hole for each time that another member led."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?\Z")
_LONGEST_VALUE = 8192


@dataclass(frozen=True, slots=True)
class Effective:
    """Parameters as text, and what was refused of the user's: name to reason."""

    values: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)


def effective(user: Mapping[str, Any]) -> Effective:
    """Merge the user's parameters over the defaults. What cannot be used is left out and named in `refused`."""
    values, refused = dict(DEFAULTS), {}
    for given, value in user.items():
        name = str(given).strip().lower()
        try:
            values[name] = _checked(name, value)
        except Invalid as problem:
            refused[str(given)[:128]] = str(problem)
    return Effective({**values, **FORCED}, refused)


def text_of(value: Any) -> str:
    """A parameter's value as Postgres reads it. Raises Invalid for what is no scalar."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and isfinite(value):
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, str):
        return value
    raise Invalid("give a text, a number or a boolean")


def _checked(name: str, value: Any) -> str:
    if _NAME.match(name) is None:
        raise Invalid("not a parameter's name")
    if owned(name):
        raise Invalid("set by the agent; remove it")
    text = text_of(value)
    if len(text) > _LONGEST_VALUE:
        raise Invalid(f"longer than {_LONGEST_VALUE} characters")
    check_printable(text)
    if name in MINIMUMS:
        return _at_least(text, MINIMUMS[name])
    if name == "wal_level":
        level = WAL_LEVELS.get(text.lower())
        if level is None:
            raise Invalid("use replica or logical")
        return level
    if name == "wal_keep_size":
        size = parse_quantity(text, Quantity.MEGABYTES)
        if size is None or size < WAL_KEEP_LEAST:
            raise Invalid("use at least 16MB")
    return text


def _at_least(text: str, least: int) -> str:
    number = parse_quantity(text, Quantity.COUNT)
    if number is None or number < least:
        raise Invalid(f"use a whole number of at least {least}")
    return str(int(number))
