"""Timelines: this member's and another's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from matriarch.config.files import Source, connection
from matriarch.ha.view import HistoryEntry, RemoteHistory
from matriarch.words.errors import PostgresError, QueryFailed
from matriarch.words.lsn import parse_lsn
from matriarch_agent.postgres import remote
from matriarch_agent.postgres.place import Place

_IDENTITY_COLUMNS = 4
_SEGMENTS = """
select (select min(substr(name, 9)) from pg_ls_dir('pg_wal', true, false) as name where name ~ '^[0-9A-F]{24}$'),
  (select setting::bigint from pg_settings where name = 'wal_segment_size')
"""


def read_history(pgdata: Path, timeline: int) -> tuple[HistoryEntry, ...]:
    """The history file of a timeline; empty when there is none (timeline 1 has none)."""
    path = pgdata / "pg_wal" / f"{timeline:08X}.history"
    try:
        return parse_history(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ()


def parse_history(text: str) -> tuple[HistoryEntry, ...]:
    """A timeline history file: `timeline<TAB>LSN<TAB>reason` per line. Raises QueryFailed for anything else."""
    entries = []
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        parts = stripped.split(None, 2)
        try:
            entries.append(HistoryEntry(int(parts[0]), parse_lsn(parts[1]), parts[2] if len(parts) > 2 else ""))
        except (IndexError, ValueError) as error:
            raise QueryFailed(f"not a line of a timeline history: {stripped[:100]!r}") from error
    return tuple(entries)


async def ask_history(place: Place, source: Source, epoch: int) -> RemoteHistory:
    """Another member's system identifier, timeline and history. Raises NotRunning or QueryFailed."""
    name = f"{place.member}-ask"
    where = connection(source, application_name=name, replication="true")
    first = await remote.ask(place, where, "IDENTIFY_SYSTEM", "SHOW in_hot_standby")
    if len(first) != _IDENTITY_COLUMNS + 1 or not first[1].isdigit():
        raise QueryFailed("an answer to IDENTIFY_SYSTEM that cannot be read")
    sysid, timeline, in_recovery = first[0], int(first[1]), first[-1] == "on"
    oldest = asyncio.create_task(_oldest_wal(place, connection(source, application_name=name)), name="oldest-wal")
    try:
        entries: tuple[HistoryEntry, ...] = ()
        if timeline > 1:
            answer = await remote.ask(place, where, f"TIMELINE_HISTORY {timeline}")
            entries = parse_history(answer[-1] if answer else "")
        return RemoteHistory(
            member=source.member,
            epoch=epoch,
            sysid=sysid,
            timeline=timeline,
            switches={entry.timeline: entry.lsn for entry in entries},
            in_recovery=in_recovery,
            oldest=await oldest,
        )
    finally:
        if not oldest.done():
            oldest.cancel()
            await asyncio.wait({oldest})


async def _oldest_wal(place: Place, where: str) -> int | None:
    """Where the source's oldest WAL segment begins. None when it does not tell: a Patroni member's replication role may
    lack the right to list the directory."""
    try:
        answer = await remote.ask(place, where, _SEGMENTS)
    except PostgresError:
        return None
    return oldest_segment(answer[0], int(answer[1])) if len(answer) == 2 and answer[1].isdigit() else None


def oldest_segment(first: str, size: int) -> int | None:
    """The position at which a WAL segment begins, by the last two thirds of its file's name."""
    return None if len(first) != 16 else int(first[:8], 16) * (1 << 32) + int(first[8:], 16) * size

