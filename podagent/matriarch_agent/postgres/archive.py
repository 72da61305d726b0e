"""Archiving the WAL of a former primary, as its own archiver would have done it had it lived on.

Postgres marks each finished WAL file by `<name>.ready` in archive_status and renames that to `<name>.done` once
`archive_command` has ended well. The same here: the same command with the same substitutions, run by a shell in the
data directory with Postgres' environment, history files first and then the oldest.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from matriarch.config.files import parse_conf
from matriarch.words.errors import ProgramFailed
from matriarch_agent.files import sync_folder
from matriarch_agent.init import kernel
from matriarch_agent.ports import Archived
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.place import Place

_READY = ".ready"
_NAME = re.compile(r"[0-9A-F.historybackupl]{16,40}", re.ASCII)
_PLACEHOLDER = re.compile(r"%([pf%])")
_SHELL = "/bin/sh"
_SAID = 300
_ON = frozenset({"on", "true", "yes", "1"})


class Archive:
    """What waits in archive_status, and its way into the archive."""

    def __init__(self, place: Place, runs: Callable[[], Awaitable[bool]]) -> None:
        self._place = place
        self._runs = runs
        self._folder = place.pgdata / "pg_wal" / "archive_status"
        self._stamp: int | None = None
        self._turn = asyncio.Lock()
        self.waiting = 0
        """Files that waited at the last look. A primary archives them itself."""

    def look(self) -> None:
        """Count what waits, when the folder has changed. Blocks as long as the volume does."""
        try:
            stamp = self._folder.stat().st_mtime_ns
            if stamp != self._stamp:
                self.waiting, self._stamp = len(self._ready()), stamp
        except OSError:
            self.waiting, self._stamp = 0, None

    async def offer(self, within: float) -> Archived:
        """See `Postgres.archive_wal`. One caller at a time."""
        until = kernel.now() + within
        async with self._turn:
            mode, command = self._configured()
            names = await asyncio.to_thread(self._listed)
            if mode == "always" and await self._runs():
                return Archived(0, len(names), "the server archives by itself" if names else "")
            if mode not in ("on", "always") or not command:
                return Archived(0, len(names), "archive_mode is off, or there is no archive_command" if names else "")
            return await self._offer(names, command, until)

    async def _offer(self, names: list[str], command: str, until: float) -> Archived:
        for done, name in enumerate(names):
            left = until - kernel.now()
            if await self._runs() and not (self._place.pgdata / "standby.signal").exists():
                return Archived(done, len(names) - done, "the server is a primary again")
            try:
                if left <= 0:
                    raise ProgramFailed("the time for it is over")
                # All of it: the first failure ends the attempt, and a command that is killed may leave a part of a file
                # in the archive, which is then in the way of the whole.
                await self._one(name, command, left)
            except (ProgramFailed, OSError) as error:
                return Archived(done, len(names) - done, f"{name}: {error}"[:_SAID])
        return Archived(len(names), 0)

    async def _one(self, name: str, command: str, within: float) -> None:
        mark = self._folder / f"{name}{_READY}"
        if not (self._place.pgdata / "pg_wal" / name).exists():
            # As Postgres does: a mark without its file was left behind by a crash.
            mark.unlink(missing_ok=True)
            return
        line = substituted(command, name)
        environment, folder = self._place.environment(), self._place.pgdata
        try:
            output = await programs.run([_SHELL, "-c", line], environment, timeout=within, cwd=folder)
        except ProgramFailed as error:
            raise ProgramFailed(f"archive_command was killed and may have left a part of the file: {error}") from error
        if output.status != 0:
            said = (output.stderr or output.stdout).strip()[-_SAID // 2 :]
            raise ProgramFailed(f"archive_command ended with status {output.status}: {said}")
        os.replace(mark, mark.with_suffix(".done"))
        await asyncio.to_thread(sync_folder, self._folder)

    def _configured(self) -> tuple[str, str]:
        """archive_mode and archive_command of the data directory: cluster settings only, never ALTER SYSTEM."""
        path: Path = self._place.pgdata / "postgresql.conf"
        try:
            present = parse_conf(path.read_text(encoding="utf-8", errors="surrogateescape"))
        except OSError:
            return "off", ""
        mode = present.get("archive_mode", "off").strip().lower()
        return ("on" if mode in _ON else mode), present.get("archive_command", "")

    def _listed(self) -> list[str]:
        try:
            return self._ready()
        except OSError:
            return []

    def _ready(self) -> list[str]:
        marks = [entry.name for entry in os.scandir(self._folder) if entry.name.endswith(_READY)]
        names = [name for name in (mark.removesuffix(_READY) for mark in marks) if _NAME.fullmatch(name)]
        return sorted(names, key=lambda name: (not name.endswith(".history"), name))


def substituted(command: str, name: str) -> str:
    """The command line for one file: %p is its path from the data directory, %f its name, %% a percent sign."""
    values = {"p": f"pg_wal/{name}", "f": name, "%": "%"}
    return _PLACEHOLDER.sub(lambda match: values[match[1]], command)
