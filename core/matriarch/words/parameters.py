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
        "db_user_namespace",
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
"""Names that only the agent sets (after Patroni): they hold the cluster together, keep what was acknowledged, name
files and say under which name the agent itself may log in, so a second opinion about them could only break it."""

OWNED_PREFIXES = ("log_directory", "log_file_mode", "log_filename", "log_rotation", "matriarch.", "ssl")
"""The same for every name that begins so."""

PRIVILEGED = frozenset(
    {
        # Programs and libraries that the server runs.
        "archive_command",
        "dynamic_library_path",
        "extension_control_path",
        "extension_destdir",
        "jit_provider",
        "local_preload_libraries",
        "oauth_validator_libraries",
        "session_preload_libraries",
        "shared_preload_libraries",
        # Files that it reads, or writes and removes.
        "krb_server_keyfile",
        "stats_temp_directory",
        # Who is let in, and what they may do then.
        "allow_system_table_mods",
        "event_triggers",
        "gss_accept_delegation",
        "krb_caseins_users",
        "lo_compat_privileges",
        "password_encryption",
        "scram_iterations",
        "session_replication_role",
        # What everybody's SQL means: whose function is called, and where a quoted text ends.
        "backslash_quote",
        "search_path",
        "standard_conforming_strings",
        # What becomes of damaged pages and of acknowledged commits: with these nobody is told that they are lost.
        "data_sync_retry",
        "ignore_checksum_failure",
        "ignore_invalid_pages",
        "synchronous_commit",
        "zero_damaged_pages",
    }
)
"""Names that a user may set, with which the databases could be opened or lose data without a word: all of PostgreSQL 13
to 18 that are not owned. What makes a server slow, or fills its disk, is not among them."""

HARMLESS_PREFIXES = ("auto_explain.", "pg_prewarm.", "pg_stat_statements.", "pg_trgm.")
"""Extensions of PostgreSQL's own whose parameters open nothing."""

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


def privileged(name: str) -> bool:
    """Whether setting it takes more than to reach a port. What an extension's parameter does, only that one knows: it
    may be a script to run (`pgsodium.getkey_script`), or what a policy for rows asks for."""
    return name in PRIVILEGED or ("." in name and not name.startswith(HARMLESS_PREFIXES))
