"""WAL of a former primary reaches the archive before a rewind removes it, on real servers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from component.postgres.member import QUICK, Member, Members, eventually
from component.postgres.test_replication import caught_up, until

from matriarch.ha.settings import ClusterSettings
from matriarch_agent.ports import Archived, StartMode

pytestmark = pytest.mark.component


def archiving(command: str) -> ClusterSettings:
    return replace(
        QUICK, parameters={**QUICK.parameters, "archive_mode": "on", "archive_command": command, "wal_keep_size": "1GB"}
    )


def gate(folder: Path) -> tuple[ClusterSettings, Path]:
    """An archive in a folder that takes nothing while there is no file `open` beside it."""
    target = folder / "archive"
    target.mkdir()
    return archiving(f"test -e {folder}/open && cp %p {target}/%f"), target


async def in_archive_mode(member: Member, settings: ClusterSettings) -> None:
    await member.postgres.stop(fast=True)
    await member.postgres.start(StartMode(primary=True), settings)
    assert await member.sql("show archive_mode") == "on"


async def switch_wal(member: Member, times: int) -> None:
    for _ in range(times):
        await member.sql("select pg_logical_emit_message(false, 'x', repeat('y', 1000))::text")
        await member.sql("select pg_switch_wal()::text")


async def test_a_former_primarys_wal_is_archived_before_its_rewind(members: Members) -> None:
    primary = await members.primary()
    settings, target = gate(members.base)
    await in_archive_mode(primary, settings)
    replica = await members.replica(primary, "demo-1")
    await switch_wal(primary, 2)
    await caught_up(replica, primary)
    await replica.postgres.follow(None, settings)
    await primary.sql("create table public.lost as select 1 as id")
    await switch_wal(primary, 1)
    await replica.postgres.promote()
    await replica.sql("create table public.kept as select 1 as id")
    await replica.postgres.checkpoint()
    assert (await primary.postgres.observe()).unarchived == 0, "a primary archives by itself"
    await primary.postgres.kill()
    await until(primary, "seen with what waits", lambda view: view.unarchived >= 3)
    refused = await primary.postgres.archive_wal(within=30.0)
    assert refused.done == 0 and refused.left >= 3 and "status 1" in refused.complaint
    (members.base / "open").touch()
    waiting = refused.left
    assert await primary.postgres.archive_wal(within=30.0) == Archived(waiting, 0)
    await until(primary, "seen without", lambda view: view.unarchived == 0)
    segments = [path for path in target.iterdir() if len(path.name) == 24]
    assert len(list(target.iterdir())) == waiting and len(segments) >= 3
    assert all(path.stat().st_size == 16 << 20 for path in segments)
    await primary.postgres.rewind(replica.upstream)
    await replica.postgres.sync_slots(("demo_0",), ())
    await primary.postgres.start(StartMode(primary=False, upstream=replica.upstream), settings)
    view = await until(primary, "streaming", lambda view: view.streaming and view.timeline == 2)
    assert view.unarchived == 0 and await primary.sql("select to_regclass('public.lost')::text") is None


async def test_a_former_primary_that_runs_as_a_replica_archives_what_it_had_finished(members: Members) -> None:
    """Its own archiver does not run in recovery."""
    primary = await members.primary()
    settings, target = gate(members.base)
    await in_archive_mode(primary, settings)
    await switch_wal(primary, 2)
    await primary.postgres.stop(fast=True)
    await primary.postgres.start(StartMode(primary=False), settings)
    await until(primary, "seen with what waits", lambda view: view.running and view.unarchived >= 2)
    (members.base / "open").touch()
    assert (await primary.postgres.archive_wal(within=30.0)).left == 0
    assert len(list(target.iterdir())) >= 2
    await primary.postgres.promote()
    assert (await primary.postgres.archive_wal(within=30.0)).done == 0, "a primary archives by itself"


async def test_the_end_of_the_wal_is_told_while_the_archiver_still_works(members: Members) -> None:
    """A handover gives the lock away then: writes must not wait for a slow archive."""
    primary = await members.primary()
    opened, archived = members.base / "open", members.base / "archived"
    await in_archive_mode(primary, archiving(f"until test -e {opened}; do sleep 0.1; done; touch {archived}"))
    await switch_wal(primary, 1)
    told: list[int] = []

    async def closed(lsn: int) -> None:
        told.append(lsn)

    stopping = asyncio.create_task(primary.postgres.stop(fast=True, on_shutdown_checkpoint=closed))
    await eventually(lambda: bool(told))
    view = await until(primary, "closed", lambda view: view.closed)
    assert not view.writable
    assert not stopping.done() and not archived.exists()
    opened.touch()
    await stopping
    assert archived.exists()
    assert (await primary.postgres.observe()).process == "stopped"
