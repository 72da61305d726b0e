"""Replication slots by SQL."""

from __future__ import annotations

import asyncio
from typing import Any

from matriarch.config.quoting import literal
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import Slot
from matriarch.words.errors import QueryFailed
from matriarch.words.lsn import format_lsn, parse_lsn
from matriarch_agent.postgres import sql
from matriarch_agent.postgres.sql import Session

ALL_WITHIN_S = 3.0
CREATE_WITHIN_S = 600.0
_PRESENT = "select slot_name, active from pg_get_replication_slots() where not temporary"


async def sync_slots(
    session: Session, want: tuple[str, ...], drop: tuple[str, ...], advance: tuple[tuple[str, int], ...]
) -> None:
    """Drop what of `drop` nobody uses, create what is missing of `want`, with WAL reserved from now on, move on what is
    idle of `advance`.

    Raises QueryFailed with all failures after having tried everything, or when all takes too long: the agent's
    loop waits for this, and what is left is done at its next look.
    """
    try:
        async with asyncio.timeout(ALL_WITHIN_S):
            await _sync_slots(session, want, drop, advance)
    except TimeoutError as error:
        raise QueryFailed(f"slots not in order within {ALL_WITHIN_S} s") from error


async def _sync_slots(
    session: Session, want: tuple[str, ...], drop: tuple[str, ...], advance: tuple[tuple[str, int], ...]
) -> None:
    present = {str(name): bool(active) for name, active in await session.rows(_PRESENT)}
    gone = [name for name in drop if present.get(name) is False]
    statements = [f"select pg_drop_replication_slot({literal(name)})" for name in gone]
    missing = [name for name in want if name not in present or name in gone]
    statements += [f"select pg_create_physical_replication_slot({literal(name)}, true)" for name in missing]
    statements += [
        f"select pg_replication_slot_advance({literal(name)}, {literal(format_lsn(lsn))})"
        for name, lsn in advance
        if present.get(name) is False and name not in gone
    ]
    problems = []
    for statement in statements:
        try:
            await session.rows(statement)
        except QueryFailed as problem:
            problems.append(str(problem))
    if problems:
        raise QueryFailed("; ".join(problems))


async def create_logical(session: Session, slot: PermanentSlot) -> None:
    """Make a logical slot that standbys copy. It waits for the transactions that are open."""
    where = {**session.where, "dbname": slot.database or "postgres"}
    arguments = ", ".join([literal(slot.name), literal(slot.plugin or ""), "false", "false", "true"])
    async with sql.short_session(
        where["host"], int(where["port"]), where["user"], statement_timeout_s=CREATE_WITHIN_S, dbname=where["dbname"]
    ) as link:
        await link.ask(f"select pg_create_logical_replication_slot({arguments})")


def slot_of(row: dict[str, Any]) -> Slot:
    """A row of pg_get_replication_slots() with its database's name. Columns that an older server lacks are absent."""
    return Slot(
        name=str(row["slot_name"]),
        type=str(row["slot_type"]),
        active=bool(row["active"]),
        restart_lsn=_lsn(row["restart_lsn"]),
        confirmed_lsn=_lsn(row["confirmed_flush_lsn"]),
        database=row["database"],
        plugin=row["plugin"],
        holds_rows=row["slot_type"] == "physical" and row["xmin"] is not None,
        lost=row["wal_status"] == "lost" or row.get("invalidation_reason") is not None,
        failover=bool(row.get("failover")),
        synced=bool(row.get("synced")),
    )


def _lsn(text: str | None) -> int | None:
    return None if text is None else parse_lsn(text)
