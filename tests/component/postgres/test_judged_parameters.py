"""Every parameter of the installed server that takes a text has been judged: ours, a person's alone, or harmless.

A new version of PostgreSQL brings new ones; one of them may name a program or a file.
"""

from __future__ import annotations

import subprocess

import pytest
from component.postgres.member import programs

from matriarch.words.parameters import owned, privileged

pytestmark = pytest.mark.component

HARMLESS = {
    *("application_name", "backtrace_functions", "bonjour_name", "client_encoding", "createrole_self_grant"),
    *("datestyle", "debug_io_direct", "default_table_access_method", "default_tablespace"),
    *("default_text_search_config", "event_source", "lc_messages", "lc_monetary", "lc_numeric", "lc_time"),
    *("log_connections", "log_line_prefix"),
    *("log_timezone", "restrict_nonsystem_relation_kind", "syslog_ident", "temp_tablespaces", "timezone"),
    *("timezone_abbreviations", "wal_consistency_checking"),
}
SUSPICIOUS = ("credential", "director", "file name", "librar", "password", "privilege", "shell")
NOT_SO_MUCH = {"authentication_timeout", "md5_password_warnings", "recovery_init_sync_method"}


def parameters() -> list[tuple[str, str, str]]:
    """Name in lower case, type and description of each."""
    argv = [programs() / "postgres", "--describe-config"]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    return [(row[0].lower(), row[3], " ".join(row[7:]).lower()) for row in rows]


def test_every_text_and_every_suspicious_description_has_been_judged() -> None:
    open_to_all = [one for one in parameters() if not owned(one[0]) and not privileged(one[0])]
    assert len(open_to_all) > 200
    assert {name for name, kind, _ in open_to_all if kind == "STRING"} <= HARMLESS
    suspects = {name for name, _, said in open_to_all if any(word in said for word in SUSPICIOUS)}
    assert suspects <= NOT_SO_MUCH | HARMLESS
