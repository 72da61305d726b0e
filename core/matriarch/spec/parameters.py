"""Which Postgres parameters a manifest may set, and which must grow and shrink in a certain order.

The list of parameters that the agent owns follows Patroni's: they hold the cluster together, so a second
opinion about them in a manifest could only break it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAME_PATTERN = r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$"
MAX_NAME = 126
"""Characters, our own bound: it keeps the cost of the schema's rules bounded."""

OWNED = frozenset(
    {
        "archive_command",
        "archive_library",
        "archive_mode",
        "cluster_name",
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "hot_standby",
        "ident_file",
        "listen_addresses",
        "port",
        "primary_conninfo",
        "primary_slot_name",
        "promote_trigger_file",
        "recovery_end_command",
        "recovery_target",
        "recovery_target_action",
        "recovery_target_inclusive",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_timeline",
        "recovery_target_xid",
        "restart_after_crash",
        "restore_command",
        "synchronized_standby_slots",
        "synchronous_standby_names",
        "unix_socket_directories",
        "unix_socket_group",
        "unix_socket_permissions",
    }
)
OWNED_PREFIXES = ("ssl",)

REPLICAS_FIRST_WHEN_RAISED = frozenset(
    {
        "max_connections",
        "max_locks_per_transaction",
        "max_prepared_transactions",
        "max_wal_senders",
        "max_worker_processes",
    }
)
"""A replica must not have less of these than the primary had when it wrote the WAL (after Patroni)."""

_NAME = re.compile(NAME_PATTERN)


def refusal(name: str) -> str | None:
    """Why this parameter cannot be set in a manifest, or None when it can."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return "is not a parameter's name: write it in lower case, with at most one dot"
    if name in OWNED or name.startswith(OWNED_PREFIXES):
        return "belongs to Matriarch and cannot be set here"
    return None


def has_control(text: str) -> bool:
    """Whether a text has a line break or another control character, with which it could leave its place in a file."""
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def as_text(value: int | float | bool | str) -> str:
    """A parameter's value in postgresql.conf's spelling, before quoting."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def refusals(parameters: Mapping[str, int | float | bool | str]) -> list[str]:
    """One sentence for each parameter that cannot be set, in the order of their names."""
    found = []
    for name in sorted(parameters):
        reason = refusal(name)
        if reason is None and has_control(as_text(parameters[name])):
            reason = "has a value with a line break or another control character"
        if reason is not None:
            found.append(f"parameter {name[:MAX_NAME]!r} {reason}")
    return found
