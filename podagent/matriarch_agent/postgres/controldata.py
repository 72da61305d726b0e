"""What pg_controldata says of a data directory, and where its WAL ends."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matriarch.ha.view import ControlData
from matriarch.words.errors import PostgresError, ProgramFailed
from matriarch.words.lsn import format_lsn, parse_lsn
from matriarch_agent.files import there
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.place import Place

_WITHIN_S = 5.0
_SETTLED_NS = 50_000_000
"""A file time is only as fine as the kernel's tick: what was written just now may be written again unseen."""
_PAGE = 8192
_LONG_HEADER, _SHORT_HEADER = 40, 24
_TOTAL_LENGTH = re.compile(r"len \(rec/tot\):\s*\d+/\s*(\d+).*CHECKPOINT_SHUTDOWN")
_OUT_OF_RECOVERY = frozenset({"in production", "shut down", "shutting down", "in crash recovery", "starting up"})
_SHARED_MEMORY = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}


@dataclass(frozen=True, slots=True)
class ControlFile:
    """Control data and what only the adapter needs of it."""

    data: ControlData
    shared_memory: Mapping[str, int]
    """The parameters that a standby must not go below."""
    segment_size: int


async def read_control(place: Place, pgdata: Path | None = None) -> ControlFile:
    """Raises PostgresError when the control file is missing or damaged."""
    pgdata = pgdata or place.pgdata
    output = await programs.check([place.program("pg_controldata"), "-D", str(pgdata)], _env(place), timeout=_WITHIN_S)
    found = {}
    for line in output.stdout.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found[key.strip()] = value.strip()
    try:
        control = _parsed(found, base_backup=there(pgdata / "backup_label"))
    except (KeyError, ValueError) as error:
        raise PostgresError(f"pg_controldata's output cannot be understood: {error!r}") from error
    if control.data.state != "shut down":
        return control
    end = await _end_of_shutdown_record(place, pgdata, control)
    return ControlFile(replace(control.data, end_lsn=end), control.shared_memory, control.segment_size)


def record_end(start: int, length: int, segment_size: int) -> int:
    """Where a WAL record of `length` bytes ends that begins at `start`: headers of the pages that it runs into are in
    between, and the end is rounded up to eight bytes."""
    position, left = start, length
    while True:
        room = _PAGE - position % _PAGE
        if left <= room:
            return (position + left + 7) & ~7
        left -= room
        position += room
        position += _LONG_HEADER if position % segment_size == 0 else _SHORT_HEADER


def _parsed(found: Mapping[str, str], *, base_backup: bool) -> ControlFile:
    state = found["Database cluster state"]
    timeline = int(found["Latest checkpoint's TimeLineID"])
    recovery_timeline = int(found.get("Min recovery ending loc's timeline", "0"))
    recovery_end = parse_lsn(found["Minimum recovery ending location"])
    was_primary = state in _OUT_OF_RECOVERY and not base_backup
    data = ControlData(
        state=state,
        sysid=str(int(found["Database system identifier"])),
        # Right after a promotion only the recovery end is on the new timeline, until the first checkpoint.
        timeline=max(timeline, recovery_timeline),
        checkpoint_lsn=parse_lsn(found["Latest checkpoint location"]),
        end_lsn=recovery_end if state == "shut down in recovery" else None,
        was_primary=was_primary,
        checksums=int(found.get("Data page checksum version", "0")) != 0,
        redo_lsn=parse_lsn(found["Latest checkpoint's REDO location"]),
        consistent_at=recovery_end or None,
    )
    shared = {name: int(found[label]) for label, name in _SHARED_MEMORY.items() if label in found}
    return ControlFile(data, shared, int(found["Bytes per WAL segment"]))


async def _end_of_shutdown_record(place: Place, pgdata: Path, control: ControlFile) -> int | None:
    """None when the record cannot be read."""
    argv = [place.program("pg_waldump"), "-p", str(pgdata / "pg_wal"), "-t", str(control.data.timeline)]
    argv += ["-s", format_lsn(control.data.checkpoint_lsn), "-n", "1"]
    try:
        output = await programs.run(argv, _env(place), timeout=_WITHIN_S)
    except ProgramFailed:
        return None
    match = _TOTAL_LENGTH.search(output.stdout)
    return record_end(control.data.checkpoint_lsn, int(match[1]), control.segment_size) if match else None


def _env(place: Place) -> dict[str, str]:
    return {**place.environment(), "LC_ALL": "C"}


class ControlCache:
    """Reads the control file again only when it has changed."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path: Path = place.pgdata / "global" / "pg_control"
        self._stamp: tuple[int, int, bool] | None = None
        self._known: ControlFile | None = None

    async def read(self) -> ControlFile | None:
        """The control file's content; None when it is missing or cannot be read."""
        stamp = self._look()
        if stamp is None:
            return None
        if stamp != self._stamp or self._known is None:
            try:
                self._known = await read_control(self._place)
            except PostgresError:
                return None
            settled = time.time_ns() - stamp[0] > _SETTLED_NS
            self._stamp = stamp if settled else None
        return self._known

    def changed(self) -> bool:
        """Whether the file may have been written since the last `read`."""
        return self._look() != self._stamp

    def _look(self) -> tuple[int, int, bool] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, os.path.exists(self._place.pgdata / "backup_label")
