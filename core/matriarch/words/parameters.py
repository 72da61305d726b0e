"""Names of Postgres parameters that mean something to both programs, in one place."""

from __future__ import annotations

OWNED = frozenset(
    {
        "allow_alter_system",
        "archive_cleanup_command",
        "archive_library",
        "bonjour",
        "cluster_name",
        "config_file",
        "data_directory",
        "external_pid_file",
        "fsync",
        "full_page_writes",
        "hba_file",
        "hot_standby",
        "ident_file",
        "include",
        "include_dir",
        "include_if_exists",
        "listen_addresses",
        "log_destination",
        "logging_collector",
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
"""Names that only the agent sets (after Patroni): they hold the cluster together, keep what was acknowledged, and name
files, so a second opinion about them could only break it."""

OWNED_PREFIXES = ("log_directory", "log_file_mode", "log_filename", "log_rotation", "matriarch.", "ssl")
"""The same for every name that begins so."""

SHARED_MEMORY = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)
"""They size shared memory for transactions: a standby must never have less than its primary had when it wrote the WAL
(after Patroni)."""


def owned(name: str) -> bool:
    """Whether a user may not set it."""
    return name in OWNED or name.startswith(OWNED_PREFIXES)
