"""A new cluster's data directory: initdb, roles and the database, all before any server is started.

The roles are made in single-user mode, in the directory beside the final place: what appears there in the end is
complete. Passwords go in as SCRAM verifiers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from matriarch.config.quoting import identifier, literal
from matriarch.ha.commands import Commands, Method
from matriarch.words.errors import ProgramFailed
from matriarch_agent.files import remove_file, replace_file, there, translated
from matriarch_agent.postgres import credentials, first_server, programs
from matriarch_agent.postgres.copying import COPY_WITHIN_S, cleaned
from matriarch_agent.postgres.credentials import Credential, read_credential, scram_verifier
from matriarch_agent.postgres.durable import sync
from matriarch_agent.postgres.place import Place

_WITHIN_S = 300.0
_DATNAME = re.compile(r'datname = "(.*)"\t\(typeid')
REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
"""What pg_rewind calls on its source, in the database `postgres` (after Patroni)."""


async def build(place: Place, target: Path, commands: Commands) -> None:
    """Make a complete data directory at `target`: by initdb, or by the settings' own method, whose data may have roles
    and databases already. Raises PostgresError (a missing Secret, a failed program)."""
    if commands.bootstrap is None:
        script = _script(place)
        await programs.check(_initdb(place, target), place.environment(), timeout=_WITHIN_S)
    else:
        await _by_method(place, target, commands.bootstrap)
        # It recovers first, from all the WAL that came along.
        there = await _single(place, target, "select datname from pg_database;\n\n", COPY_WITHIN_S)
        script = _script(place, there=_DATNAME.findall(there))
    await _single(place, target, script)
    if commands.post_bootstrap:
        await first_server.call(place, target, commands.post_bootstrap)
    await sync(place, target)


async def _by_method(place: Place, target: Path, method: Method) -> None:
    """Run a program that leaves a whole data directory: one that was shut down, or a base backup with its WAL."""
    argv = method.argv(scope=place.cluster, datadir=str(target))
    await programs.check(argv, place.environment_with_passwords(), timeout=COPY_WITHIN_S)
    if not there(target / "PG_VERSION"):
        raise ProgramFailed(f"{method.name} ended well, and left no data directory")
    if there(target / "recovery.signal"):
        raise ProgramFailed(f"{method.name} left data that needs an archive to recover from: there is none yet")
    remove_file(target / "standby.signal", durable=False)
    with translated(target):
        await asyncio.to_thread(cleaned, target)


async def _single(place: Place, target: Path, script: str, within: float = _WITHIN_S) -> str:
    """Run statements in single-user mode, which recovers first where that is due. Returns what was printed.

    With settings of our own: what a foreign directory has in its configuration files may mean nothing here. As
    arguments, since one of those files, that of ALTER SYSTEM, would win over any other.
    """
    config = place.run / "bootstrap.conf"
    replace_file(config, "", durable=False)
    single = [place.program("postgres"), "--single", "-j", "-D", str(target), f"--config-file={config}"]
    single += ["-c", "archive_mode=off", "-c", "max_prepared_transactions=1000", "-c", "shared_preload_libraries="]
    single += ["-c", "synchronous_standby_names=", "-c", "exit_on_error=true"]
    single += ["-c", "log_statement=none", "-c", "log_min_error_statement=panic"]
    single += ["-c", "fsync=off", "postgres"]
    output = await programs.run(single, place.environment(), stdin=script, timeout=within)
    if output.status != 0:
        complaint = [line for line in output.stderr.splitlines() if "ERROR" in line or "FATAL" in line]
        raise ProgramFailed(f"creating roles and database: {'; '.join(complaint)[:1000] or output.status}")
    return output.stdout


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


def _script(place: Place, there: Collection[str] = ()) -> str:
    """The statements; `-j` reads one up to a semicolon and an empty line. `there`: databases that exist already, in
    data that came from elsewhere, where roles may exist as well."""
    superuser = read_credential(place, credentials.SUPERUSER)
    replication = read_credential(place, credentials.REPLICATION)
    app = read_credential(place, credentials.APP)
    owner = Credential(_text(place.bootstrap, "owner", app.username), app.password)
    database = _text(place.bootstrap, "database", owner.username)
    if replication.username in (superuser.username, owner.username):
        raise ProgramFailed("the replication role needs a name of its own")
    replicator = identifier(replication.username)
    statements = [
        *(_role(superuser, "SUPERUSER LOGIN") if there else ()),
        f"ALTER ROLE {identifier(superuser.username)} PASSWORD {_verifier(superuser)}",
        *_role(replication, "LOGIN REPLICATION"),
        f"ALTER ROLE {replicator} PASSWORD {_verifier(replication)}",
        *(f"GRANT EXECUTE ON FUNCTION pg_catalog.{name} TO {replicator}" for name in REWIND_FUNCTIONS),
    ]
    if owner.username != superuser.username:
        statements += [
            *_role(owner, "LOGIN"),
            f"ALTER ROLE {identifier(owner.username)} PASSWORD {_verifier(owner)}",
        ]
    if database == "postgres":
        statements.append(f"ALTER DATABASE postgres OWNER TO {identifier(owner.username)}")
    elif database not in there:
        statements.append(f"CREATE DATABASE {identifier(database)} OWNER {identifier(owner.username)}")
    return "".join(f"{statement};\n\n" for statement in statements)


def _role(credential: Credential, attributes: str) -> list[str]:
    """Make a role when it is not there, and give it its attributes."""
    name = credential.username
    make = f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(name)}) THEN CREATE ROLE {identifier(name)}"
    return [f"DO {literal(f'BEGIN {make}; END IF; END')}", f"ALTER ROLE {identifier(name)} {attributes}"]


def _verifier(credential: Credential) -> str:
    return literal(scram_verifier(credential.password))


def _text(wish: Mapping[str, object], key: str, default: str) -> str:
    value = wish.get(key)
    return str(value) if value not in (None, "") else default
