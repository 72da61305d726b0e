"""Filling a new data directory by the settings' methods, in order, until one succeeds (after Patroni)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from matriarch.config.files import Source, connection
from matriarch.ha.commands import Commands, Method
from matriarch.words.errors import PostgresError, ProgramFailed
from matriarch_agent.journal import Log
from matriarch_agent.postgres import basebackup, history, programs
from matriarch_agent.postgres.controldata import read_control
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.durable import sync
from matriarch_agent.postgres.place import Place

COPY_WITHIN_S = 24 * 3600.0
"""Seconds for a program of the settings; pg_basebackup ends when its source does."""


class Copy:
    """One attempt with every method. The new directory is left beside the old one, complete, and then `finish`ed."""

    def __init__(self, place: Place, directory: DataDirectory, commands: Commands, log: Log) -> None:
        self._place, self._directory, self._commands, self._log = place, directory, commands, log

    async def make(self, source: Source | None, *, remote: bool) -> str:
        """Make a copy. Returns its system identifier. Raises ProgramFailed when no method succeeds.

        `source`: whom to copy; None: only methods that need nobody are tried.
        """
        problems = []
        for method in self._commands.methods(remote=remote):
            if source is None and (method is None or not method.no_leader):
                continue
            name = method.name if method is not None else "basebackup"
            keep = method is not None and method.keep_data
            try:
                return await self._attempt(method, source, keep)
            except PostgresError as error:
                self._log("a copy failed", method=name, error=str(error))
                # The member's status tells it. What a foreign program prints may hold a secret, and stays in the log.
                told = str(error) if method is None else str(error).partition(": ")[0]
                problems.append(f"{name}: {told}")
        raise ProgramFailed("; ".join(problems) or "no method works without a member to copy from")

    async def _attempt(self, method: Method | None, source: Source | None, keep: bool) -> str:
        target = await self._directory.begin(keep=keep)
        try:
            if method is not None:
                await self._run(method, source, target)
            elif source is not None:
                await basebackup.copy(self._place, source, target, self._commands.basebackup)
            if not (target / "PG_VERSION").is_file():
                raise ProgramFailed("it ended well, and left no data directory")
            sysid = (await read_control(self._place, target)).data.sysid
            if method is not None:
                await self._made_ours(target, sysid, source)
            return sysid
        except BaseException:
            if not keep:
                await asyncio.shield(self._directory.abandon())
            raise

    async def _run(self, method: Method, source: Source | None, target: Path) -> None:
        where = connection(source, application_name=f"{self._place.member}-clone") if source is not None else ""
        argv = method.argv(scope=self._place.cluster, role="replica", datadir=str(target), connstring=where)
        await programs.check(argv, self._place.environment_with_passwords(), timeout=COPY_WITHIN_S)

    async def _made_ours(self, target: Path, sysid: str, source: Source | None) -> None:
        """What a foreign program left has to be of this very cluster: else the data that it would replace stays (rules
        5 and 6). pg_basebackup does by itself what else is done here. Raises PostgresError."""
        if source is not None:
            theirs = (await history.ask_history(self._place, source, 0)).sysid
            if theirs != sysid:
                raise ProgramFailed(f"its data has system identifier {sysid}, {source.member} has {theirs}")
        await asyncio.to_thread(cleaned, target)
        # What lies in memory only must not replace what is on the disk.
        await sync(self._place, target)


def cleaned(target: Path) -> None:
    """Take out of a copy what belonged to the server that it was copied from: its slots would hold WAL back here."""
    import shutil  # rare, and it brings three compression libraries

    os.chmod(target, 0o700)
    for name in ("postmaster.pid", "postmaster.opts"):
        (target / name).unlink(missing_ok=True)
    for slot in (target / "pg_replslot").glob("*"):
        shutil.rmtree(slot)
