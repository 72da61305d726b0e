"""A short-lived server on a new data directory, reachable by nobody else: for `post_bootstrap` (after Patroni).

The directory is not in its place yet. When the program fails there is no cluster, and the next try begins with nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from urllib.parse import quote

from matriarch.config.hba import render_hba, render_ident
from matriarch.ha.commands import Command
from matriarch.words.errors import NotRunning, PostgresError, ProgramFailed
from matriarch_agent.files import replace_file, translated
from matriarch_agent.postgres import credentials, programs, sql
from matriarch_agent.postgres.place import Place, os_user

UP_WITHIN_S = 60.0
PROGRAM_WITHIN_S = 3600.0
DOWN_WITHIN_S = 120.0


async def call(place: Place, target: Path, command: Command) -> None:
    """Run `command` with a connection URL of the superuser as its last argument. Raises PostgresError."""
    folder = place.run / "first"
    with translated(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    user = credentials.role_name(place, credentials.SUPERUSER)
    argv = [place.program("postgres"), "-D", str(target), *_settings(place, folder, user)]
    server = asyncio.create_task(programs.run(argv, place.environment()))
    try:
        await _up(place, folder, user, server)
        url = f"postgresql://{quote(user, safe='')}@{quote(str(folder), safe='')}:{place.port}/postgres"
        await programs.check([*command, url], place.environment_with_passwords(), timeout=PROGRAM_WITHIN_S)
        await _down(target, server)
    finally:
        if not server.done():
            server.cancel()
            await asyncio.wait({server})


def _settings(place: Place, folder: Path, user: str) -> list[str]:
    """The server's settings, as arguments: what its origin once set by ALTER SYSTEM came along in the directory, and
    would win over a file. A server that archives would spoil its origin's archive, and one that waits for its origin's
    standbys would wait for ever."""
    hba = render_hba((), superuser=user, replication=credentials.role_name(place, credentials.REPLICATION))
    replace_file(folder / "pg_hba.conf", hba.text, durable=False)
    replace_file(folder / "pg_ident.conf", render_ident((), os_user(), superuser=user).text, durable=False)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "port": str(place.port),
        "hba_file": str(folder / "pg_hba.conf"),
        "ident_file": str(folder / "pg_ident.conf"),
        "archive_mode": "off",
        "synchronous_standby_names": "",
    }
    replace_file(folder / "postgresql.conf", "", durable=False)
    return [f"--config-file={folder / 'postgresql.conf'}", *(f"--{name}={value}" for name, value in settings.items())]


async def _up(place: Place, folder: Path, user: str, server: asyncio.Task[programs.Output]) -> None:
    why = ""
    try:
        async with asyncio.timeout(UP_WITHIN_S):
            while not server.done():
                try:
                    async with sql.short_session(str(folder), place.port, user, statement_timeout_s=5.0):
                        return
                except NotRunning as error:
                    why = str(error)
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise ProgramFailed(f"the server for post_bootstrap is not up after {UP_WITHIN_S:.0f} s: {why}") from error
    raise ProgramFailed(f"the server for post_bootstrap does not start: {server.result().stderr[-500:]}")


async def _down(target: Path, server: asyncio.Task[programs.Output]) -> None:
    try:
        os.kill(int((target / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        async with asyncio.timeout(DOWN_WITHIN_S):
            output = await asyncio.shield(server)
    except (OSError, ValueError, IndexError, TimeoutError) as error:
        raise ProgramFailed(f"the server for post_bootstrap does not stop: {error!r}") from error
    if output.status != 0:
        raise PostgresError(f"the server for post_bootstrap ended with status {output.status}")
