"""The data directory: is it there, and replacing it so that a crash at any point can be finished or undone.

A new directory is built beside the old one. A journal beside both tells what is ours: without it nothing is deleted.

    building   `pgdata.new` is half-done: it is removed
    complete   `pgdata.new` is to take `pgdata`'s place: done, whatever is left of it
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from matriarch.words.errors import ProgramFailed
from matriarch_agent.files import remove_file, replace_file, sync_folder, there, translated
from matriarch_agent.postgres.place import Place

_JOURNAL = ".matriarch.replacing"
_REWINDING = ".matriarch.rewinding"
_VOLUME_LOCK = ".matriarch.lock"

DataState = Literal["unknown", "empty", "present"]


class DataDirectory:
    """`pgdata` (or what it is called) on the volume."""

    def __init__(self, place: Place) -> None:
        self._volume = place.volume
        self.path = place.pgdata
        self.new = self.path.with_name(f"{self.path.name}.new")
        self._old = self.path.with_name(f"{self.path.name}.old")
        self._journal = self._volume / _JOURNAL
        self._rewinding = self._volume / _REWINDING
        self._tidying: asyncio.Task[None] | None = None

    def state(self) -> DataState:
        """`unknown` when the volume cannot be read, is not the one that init locked, or holds something that is neither
        a data directory nor nothing. From `unknown` nothing follows (rule 7)."""
        try:
            names = set(os.listdir(self._volume))
            if _VOLUME_LOCK not in names:
                return "unknown"
            if self._journal.name in names and self._step() == "complete":
                return "present"
            beside = names if self.path.parent == self._volume else self._beside()
            if self.path.name not in beside:
                left = {self.new.name, self._old.name} & beside and self._journal.name not in names
                return "unknown" if left else "empty"
            inside = set(os.listdir(self.path))
        except OSError:
            return "unknown"
        if "PG_VERSION" in inside and "global" in inside:
            return "present"
        return "unknown" if inside else "empty"

    def room(self) -> int | None:
        """Bytes that may still be written to the volume; None when it does not tell."""
        try:
            found = os.statvfs(self._volume)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def _beside(self) -> set[str]:
        """What is in the data directory's own folder, which the volume need not have yet."""
        try:
            return set(os.listdir(self.path.parent))
        except FileNotFoundError:
            return set()

    async def tidy(self) -> None:
        """Finish or undo what a crash interrupted. Raises ProgramFailed when the volume refuses.

        Once begun it goes on to its end, also when the caller is cancelled.
        """
        if self._tidying is None and self.untidy:
            self._tidying = asyncio.create_task(asyncio.to_thread(self._guarded, self._tidy))
        if self._tidying is None:
            return
        try:
            await asyncio.shield(self._tidying)
        finally:
            if self._tidying is not None and self._tidying.done():
                self._tidying = None

    @property
    def untidy(self) -> bool:
        """A replacement was begun and is not at its end. Raises PostgresError."""
        return there(self._journal)

    async def begin(self, *, keep: bool = False) -> Path:
        """Where to build a new directory. `keep`: what an earlier attempt left half-built stays.

        Raises PostgresError, as when something foreign is there.
        """
        # What is being removed is not there to go on with: a caller that was cancelled began that, and it goes on.
        if keep and self._tidying is None and self.untidy and not self.new_is_complete:
            return self.new
        await self.tidy()
        if there(self.new) or there(self._old):
            raise ProgramFailed(f"{self.new} or {self._old} is in the way and was not made by this agent")
        self._guarded(lambda: self.path.parent.mkdir(parents=True, exist_ok=True))
        self._note("building")
        return self.new

    async def abandon(self) -> None:
        """Remove a half-built directory."""
        await self.tidy()

    async def finish(self) -> None:
        """Put the new directory in the old one's place. From here on a crash is finished by `tidy`."""
        self._note("complete")
        await self.tidy()

    def note_rewind(self, running: bool) -> None:
        """Remember, over a crash, that pg_rewind has begun to write and has not ended. Raises PostgresError."""
        if running:
            replace_file(self._rewinding, "", durable=True)
        else:
            remove_file(self._rewinding, durable=True)

    @property
    def half_rewound(self) -> bool:
        """A rewind was interrupted: the data is a mixture, good for nothing but replacement. Raises PostgresError."""
        return there(self._rewinding)

    @property
    def new_is_complete(self) -> bool:
        """A finished copy waits to be put in place, or its predecessor to be removed. Raises PostgresError."""
        with translated(self._journal):
            return self.untidy and self._step() == "complete"

    def _tidy(self) -> None:
        if self._step() == "complete":
            if there(self.new):
                if there(self.path):
                    os.rename(self.path, self._old)
                os.rename(self.new, self.path)
                sync_folder(self.path.parent)
            self._rewinding.unlink(missing_ok=True)
            _remove(self._old)
        else:
            _remove(self.new)
        self._journal.unlink()
        sync_folder(self._volume)

    def _step(self) -> str:
        """An unreadable journal was being written when the machine stopped: nothing had been built yet."""
        try:
            return str(json.loads(self._journal.read_text())["step"])
        except (ValueError, KeyError, TypeError):
            return "building"

    def _note(self, step: str) -> None:
        replace_file(self._journal, json.dumps({"step": step}), durable=True)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            raise ProgramFailed(f"the volume refuses: {error}") from error


def _remove(path: Path) -> None:
    if there(path):
        import shutil  # rare, and it brings three compression libraries

        shutil.rmtree(path)
