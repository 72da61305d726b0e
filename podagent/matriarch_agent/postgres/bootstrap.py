"""A new cluster's data directory: initdb, roles and the database, all before any server is started.

The roles are made in single-user mode, in the directory beside the final place: what appears there in the end is
complete. Passwords go in as SCRAM verifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matriarch.config.quoting import identifier, literal
from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import credentials, programs
from matriarch_agent.postgres.credentials import Credential, read_credential, scram_verifier
from matriarch_agent.postgres.place import Place

_WITHIN_S = 300.0
_REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
"""What pg_rewind calls on its source, in the database `postgres` (after Patroni)."""


async def build(place: Place, target: Path) -> None:
    """Make a complete data directory at `target`. Raises PostgresError (a missing Secret, a failed program)."""
    script = _script(place)
    await programs.check(_initdb(place, target), place.environment(), timeout=_WITHIN_S)
    single = [place.program("postgres"), "--single", "-j", "-D", str(target), "-c", "exit_on_error=true"]
    single += ["-c", "log_statement=none", "-c", "log_min_error_statement=panic", "-c", "fsync=off", "postgres"]
    output = await programs.run(single, place.environment(), stdin=script, timeout=_WITHIN_S)
    if output.status != 0:
        complaint = [line for line in output.stderr.splitlines() if "ERROR" in line or "FATAL" in line]
        raise ProgramFailed(f"creating roles and database: {'; '.join(complaint)[:1000] or output.status}")
    sync = [place.program("initdb"), "--sync-only", "-D", str(target)]
    await programs.check(sync, place.environment(), timeout=_WITHIN_S)


def _initdb(place: Place, target: Path) -> list[str]:
    wish = place.bootstrap
    argv = [
        place.program("initdb"),
        f"--pgdata={target}",
        f"--username={credentials.role_name(place, credentials.SUPERUSER)}",
        f"--encoding={_text(wish, 'encoding', 'UTF8')}",
        f"--locale={_text(wish, 'locale', 'C.UTF-8')}",
        "--auth-local=peer",
        "--auth-host=scram-sha-256",
        "--no-sync",
    ]
    checksums = wish.get("data_checksums", wish.get("dataChecksums", True))
    return [*argv, "--data-checksums"] if checksums is not False else argv


def _script(place: Place) -> str:
    """The statements; `-j` reads one up to a semicolon and an empty line."""
    superuser = read_credential(place, credentials.SUPERUSER)
    replication = read_credential(place, credentials.REPLICATION)
    app = read_credential(place, credentials.APP)
    owner = Credential(_text(place.bootstrap, "owner", app.username), app.password)
    database = _text(place.bootstrap, "database", owner.username)
    if replication.username in (superuser.username, owner.username):
        raise ProgramFailed("the replication role needs a name of its own")
    replicator = identifier(replication.username)
    statements = [
        f"ALTER ROLE {identifier(superuser.username)} PASSWORD {_verifier(superuser)}",
        f"CREATE ROLE {replicator} LOGIN REPLICATION PASSWORD {_verifier(replication)}",
        *(f"GRANT EXECUTE ON FUNCTION pg_catalog.{name} TO {replicator}" for name in _REWIND_FUNCTIONS),
    ]
    if owner.username != superuser.username:
        statements.append(f"CREATE ROLE {identifier(owner.username)} LOGIN PASSWORD {_verifier(owner)}")
    if database == "postgres":
        statements.append(f"ALTER DATABASE postgres OWNER TO {identifier(owner.username)}")
    else:
        statements.append(f"CREATE DATABASE {identifier(database)} OWNER {identifier(owner.username)}")
    return "".join(f"{statement};\n\n" for statement in statements)


def _verifier(credential: Credential) -> str:
    return literal(scram_verifier(credential.password))


def _text(wish: Mapping[str, object], key: str, default: str) -> str:
    value = wish.get(key)
    return str(value) if value not in (None, "") else default
