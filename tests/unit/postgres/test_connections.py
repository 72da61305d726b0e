"""What our own connections ask of a server, and of the network in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from matriarch.config.files import Source, connection
from matriarch.ha.view import Upstream
from matriarch_agent.postgres import basebackup, programs, sql
from matriarch_agent.postgres.conf_files import ConfFiles
from matriarch_agent.postgres.place import Place

SOURCE = Source("demo-0", "10.1.2.3", 5432, "replicator", "/run/matriarch/pgpass")


def test_our_own_statements_never_wait_for_a_missing_standby_and_never_run_a_users_function() -> None:
    """The agent's own writes waited for the very standby whose loss they were to repair; and operators that a user
    planted were found on the search path."""
    assert sql._SESSION["synchronous_commit"] == "local"
    assert sql._SESSION["search_path"] == "pg_catalog"
    assert int(sql._SESSION["statement_timeout"]) <= 2000
    assert sql._SESSION["log_statement"] == "none"


def test_a_peer_that_vanished_is_noticed_within_seconds() -> None:
    """Packets that are dropped in silence were noticed after two minutes."""
    said = connection(SOURCE, application_name="x")
    assert "tcp_user_timeout='5000'" in said
    assert "connect_timeout='3'" in said


@pytest.mark.parametrize(
    ("programs", "withheld"),
    [
        ("/usr/lib/postgresql/17/bin", True),
        ("/usr/lib/postgresql/15/bin", False),
        ("/usr/pgsql-16/bin", True),
        ("/usr/local/bin", False),
        ("/opt/v17/bin", False),
    ],
)
def test_no_server_gets_the_password_by_asking_for_it(tmp_path: Path, programs: str, withheld: bool) -> None:
    """Whoever answers at the other address would have it. libpq 15 does not know the option, and would fail over it."""
    place = Place("demo-1", "demo", tmp_path, tmp_path, tmp_path, Path(programs))
    for kind in ("superuser", "replication"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "username").write_text(kind)
        (tmp_path / kind / "password").write_text("secret")
    for remote in (False, True):
        source = ConfFiles(place).source(Upstream("demo-0", "10.1.2.3", 5432, remote=remote))
        assert ("require_auth='!password'" in connection(source, application_name="x")) == withheld


async def test_a_copy_outlives_the_short_sender_timeout_of_our_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_basebackup answers nobody while it syncs its files, and a timeout of five seconds broke it off."""
    asked: list[list[str]] = []

    async def check(argv: list[str], environment: object, timeout: float | None = None) -> None:
        del environment, timeout
        asked.append(argv)

    monkeypatch.setattr(programs, "check", check)
    await basebackup.copy(Place("demo-1", "demo", tmp_path, tmp_path, tmp_path, tmp_path), SOURCE, tmp_path / "new")
    (where,) = [word for word in asked[0] if word.startswith("--dbname=")]
    assert "wal_sender_timeout=300s" in where
    assert "--no-sync" in asked[0] and asked[1][1:] == ["--sync-only", "-D", str(tmp_path / "new")]
