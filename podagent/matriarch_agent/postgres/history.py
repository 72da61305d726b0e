"""Timelines: this member's and another's."""

from __future__ import annotations

from pathlib import Path

from matriarch.config.files import Source, connection
from matriarch.ha.view import HistoryEntry, RemoteHistory
from matriarch.words.errors import PostgresError, QueryFailed
from matriarch.words.lsn import parse_lsn
from matriarch_agent.postgres import sql

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


async def ask_history(source: Source, epoch: int, application_name: str) -> RemoteHistory:
    """Another member's system identifier, timeline and history. Raises NotRunning or QueryFailed."""
    where = connection(source, application_name=application_name, replication="true")
    answers, in_recovery = await sql.replication_rows(where, ["IDENTIFY_SYSTEM"])
    sysid, timeline = _text(answers[0][0]), int(answers[0][1])
    entries: tuple[HistoryEntry, ...] = ()
    if timeline > 1:
        answers, _ = await sql.replication_rows(where, [f"TIMELINE_HISTORY {timeline}"])
        entries = parse_history(_text(answers[0][1]))
    return RemoteHistory(
        member=source.member,
        epoch=epoch,
        sysid=sysid,
        timeline=timeline,
        switches={entry.timeline: entry.lsn for entry in entries},
        in_recovery=in_recovery,
        oldest=await _oldest_wal(source, application_name),
    )


async def _oldest_wal(source: Source, application_name: str) -> int | None:
    """Where the source's oldest WAL segment begins. None when it does not tell: a Patroni member's replication role may
    lack the right to list the directory."""
    try:
        row = await sql.remote_row(connection(source, application_name=application_name), _SEGMENTS)
    except PostgresError:
        return None
    return oldest_segment(str(row[0] or ""), int(row[1]))


def oldest_segment(first: str, size: int) -> int | None:
    """The position at which a WAL segment begins, by the last two thirds of its file's name."""
    return None if len(first) != 16 else int(first[:8], 16) * (1 << 32) + int(first[8:], 16) * size


def _text(value: object) -> str:
    """A replication connection answers in bytes."""
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | bytearray | memoryview) else str(value)
