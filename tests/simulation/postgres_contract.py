"""What the agent relies on in a Postgres, in words of the port: one suite for the fake and for the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Upstream
from matriarch.words.errors import NotRunning, PostgresError, ProgramFailed
from matriarch.words.sync_names import BLOCKED, NOBODY, any_of, every
from matriarch_agent.ports import StartMode
from simulation.postgres_slots_contract import SLOTS_CONTRACT
from simulation.postgres_stage import SETTINGS, Party, Stage, seen


async def a_replica_streams_and_is_promoted(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    view = await seen(replica, lambda view: view.streaming)
    assert (view.data, view.process, view.in_recovery, view.timeline) == ("present", "running", True, 1)
    assert view.upstream == primary.name and view.led_timeline is None and not view.unborn
    assert view.control is not None and not view.control.was_primary
    await primary.write()
    lead = await primary.postgres.observe()
    assert (lead.in_recovery, lead.led_timeline, lead.upstream) == (False, 1, None) and lead.lsn is not None
    await seen(replica, lambda view: (view.replayed_lsn or 0) >= (lead.lsn or 0))
    assert [row.state for row in (await seen(primary, lambda view: bool(view.standbys))).standbys] == ["streaming"]
    await primary.postgres.kill()
    await seen(replica, lambda view: not view.streaming)
    await replica.postgres.promote()
    view = await replica.postgres.observe()
    assert (view.in_recovery, view.timeline, view.led_timeline, view.upstream) == (False, 2, 2, None)
    history = await replica.postgres.local_history()
    assert [entry.timeline for entry in history] == [1] and history[0].lsn >= (lead.lsn or 0)
    await replica.postgres.promote()
    assert (await replica.postgres.observe()).timeline == 2, "promoting a primary changes nothing"


async def a_diverged_primary_is_rewound(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await replica.postgres.follow(None, SETTINGS)
    await seen(replica, lambda view: not view.streaming)
    for _ in range(5):
        await primary.write()
    await replica.postgres.promote()
    await replica.write()
    await replica.postgres.checkpoint()
    await primary.postgres.kill()
    view = await primary.postgres.observe()
    assert view.process == "stopped" and view.control is not None
    assert view.control.was_primary and not view.control.clean and view.control.timeline == 1
    remote = await primary.postgres.ask_history(replica.upstream, 7)
    assert (remote.member, remote.epoch, remote.timeline, remote.in_recovery) == ("demo-1", 7, 2, False)
    assert (view.sysid, view.control.sysid) == (remote.sysid, remote.sysid), remote
    assert list(remote.switches) == [1], remote
    assert remote.oldest is not None and remote.oldest <= remote.switches[1]
    await primary.postgres.rewind(replica.upstream)
    await replica.postgres.sync_slots(("demo_0",), ())
    await primary.postgres.start(StartMode(False, replica.upstream), SETTINGS)
    back = await seen(primary, lambda view: view.streaming and view.timeline == 2)
    assert back.led_timeline is None and back.in_recovery is True


async def a_replica_is_a_source_of_a_rewind_too(stage: Stage) -> None:
    primary = await stage.primary()
    successor, replica = [await stage.replica(primary, name) for name in ("demo-1", "demo-2")]
    for party in (successor, replica):
        await seen(party, lambda view: view.streaming)
        await party.postgres.follow(None, SETTINGS)
        await seen(party, lambda view: not view.streaming)
    await primary.write()
    await successor.postgres.promote()
    await successor.postgres.sync_slots(("demo_2",), ())
    await replica.postgres.follow(successor.upstream, SETTINGS)
    await seen(replica, lambda view: view.streaming and view.timeline == 2)
    await successor.write()
    await successor.postgres.checkpoint()
    end = await at(successor) or 0
    await seen(replica, lambda view: (view.replayed_lsn or 0) >= end)
    await replica.postgres.checkpoint()
    await primary.postgres.kill()
    remote = await primary.postgres.ask_history(replica.upstream, 7)
    assert (remote.timeline, remote.in_recovery) == (2, True)
    await primary.postgres.rewind(replica.upstream)
    assert (await primary.postgres.observe()).unproven
    await replica.postgres.sync_slots(("demo_0",), ())
    await primary.postgres.start(StartMode(False, replica.upstream), SETTINGS)
    back = await seen(primary, lambda view: view.streaming and view.timeline == 2)
    assert back.upstream == replica.name and not back.unproven


async def nothing_to_rewind_is_a_failure(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await replica.postgres.stop(fast=True)
    with pytest.raises(ProgramFailed):
        await replica.postgres.rewind(primary.upstream)


async def a_killed_primary_comes_back(stage: Stage) -> None:
    primary = await stage.primary()
    changed = asyncio.ensure_future(_changes(primary))
    await asyncio.sleep(0.1)
    await primary.postgres.kill()
    view = await primary.postgres.observe()
    assert view.process == "stopped" and view.in_recovery is None and not view.writable
    async with asyncio.timeout(5.0):
        await changed
    await primary.postgres.start(StartMode(primary=True), SETTINGS)
    assert (await primary.postgres.observe()).in_recovery is False
    with pytest.raises(NotRunning):
        await primary.postgres.start(StartMode(primary=True), SETTINGS)
    await primary.write()


async def _changes(party: Party) -> None:
    # The first call may return at once for the start that nobody waited for.
    while (await party.postgres.observe()).process != "stopped":
        await party.postgres.wait_for_change()


async def the_end_of_the_wal_stream_is_told_at_once(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)

    async def until_it_ends() -> None:
        while (await replica.postgres.observe()).streaming:
            await replica.postgres.wait_for_change()

    ended = asyncio.ensure_future(until_it_ends())
    await asyncio.sleep(0.1)
    assert not ended.done()
    await primary.postgres.kill()
    async with asyncio.timeout(2.0):
        await ended


async def a_silent_wal_stream_is_told(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await primary.write()
    silence = asyncio.ensure_future(replica.postgres.wait_for_silence(1.0))
    for _ in range(15):
        await asyncio.sleep(0.1)
        await primary.write()
    assert not silence.done(), "a message came every tenth of a second"
    async with asyncio.timeout(3.0):
        await silence
    view = await replica.postgres.observe()
    assert view.streaming and (view.heard_age or 0.0) >= 0.9
    again = asyncio.ensure_future(replica.postgres.wait_for_silence(1.0))
    await asyncio.sleep(0.5)
    assert not again.done(), "told once"
    again.cancel()


async def standbys_that_come_and_go_are_told_where_commits_wait_for_them(stage: Stage) -> None:
    primary = await stage.primary()

    async def until_there_are(count: int) -> None:
        while len((await primary.postgres.observe()).standbys) != count:
            await primary.postgres.wait_for_change()

    come = asyncio.ensure_future(until_there_are(1))
    await asyncio.sleep(0.1)
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    async with asyncio.timeout(2.0):
        await come
    gone = asyncio.ensure_future(until_there_are(0))
    await asyncio.sleep(1.0)
    assert not gone.done()
    await replica.postgres.kill()
    async with asyncio.timeout(2.0):
        await gone


async def a_fast_stop_tells_its_last_position(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    told: list[int] = []

    async def note(lsn: int) -> None:
        told.append(lsn)

    await primary.postgres.stop(fast=True, on_shutdown_checkpoint=note)
    control = (await primary.postgres.observe()).control
    assert control is not None and control.clean and control.was_primary
    assert told == [control.end_lsn]
    await seen(replica, lambda view: (view.lsn or 0) >= told[0])


async def commits_wait_for_the_named_standby(stage: Stage) -> None:
    primary = await stage.primary()
    await primary.postgres.set_sync_names(every(("nobody-here",)))
    view = await primary.postgres.observe()
    assert view.sync_names == every(("nobody-here",)) and view.sync_names_sure
    writing = asyncio.ensure_future(primary.write())
    await asyncio.sleep(0.5)
    assert not writing.done()
    await primary.postgres.set_sync_names(NOBODY)
    async with asyncio.timeout(10.0):
        await writing
    await primary.postgres.set_sync_names(BLOCKED)
    view = await primary.postgres.observe()
    assert view.sync_names == BLOCKED
    writing = asyncio.ensure_future(primary.write())
    await asyncio.sleep(0.5)
    assert not writing.done()
    await primary.postgres.set_sync_names(NOBODY)
    await writing


async def any_of_the_named_standbys_will_do(stage: Stage) -> None:
    primary = await stage.primary()
    first = await stage.replica(primary, "demo-1")
    second = await stage.replica(primary, "demo-2")
    names = ("demo-1", "demo-2")
    await seen(primary, lambda view: [row.state for row in view.standbys] == ["streaming", "streaming"])
    await primary.postgres.set_sync_names(any_of(1, names))
    view = await seen(primary, lambda view: all(row.sync_state == "quorum" for row in view.standbys))
    assert view.sync_names == any_of(1, names) and view.sync_names_sure
    assert all((row.flush_lsn or 0) >= 0 for row in view.standbys) and view.sync_names_lsn > 0
    await first.postgres.kill()
    async with asyncio.timeout(10.0):
        await primary.write()
    await primary.postgres.set_sync_names(any_of(2, names))
    writing = asyncio.ensure_future(primary.write())
    await asyncio.sleep(0.5)
    assert not writing.done(), "only one of two is there"
    await primary.postgres.set_sync_names(any_of(1, names))
    async with asyncio.timeout(10.0):
        await writing
    await second.postgres.kill()
    writing = asyncio.ensure_future(primary.write())
    await asyncio.sleep(0.5)
    assert not writing.done(), "none is there"
    await primary.postgres.set_sync_names(NOBODY)
    async with asyncio.timeout(10.0):
        await writing


async def names_set_before_a_promotion_hold_from_its_first_commit(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    view = await seen(replica, lambda view: view.streaming and view.replayed_all)
    await primary.postgres.kill()
    view = await replica.postgres.observe()
    assert view.replayed_all, "what it has it still knows"
    await replica.postgres.set_sync_names(BLOCKED)
    await replica.postgres.promote()
    view = await replica.postgres.observe()
    assert view.sync_names == BLOCKED and view.in_recovery is False
    writing = asyncio.ensure_future(replica.write())
    await asyncio.sleep(0.5)
    assert not writing.done()
    await replica.postgres.set_sync_names(NOBODY)
    async with asyncio.timeout(10.0):
        await writing


async def an_unreachable_source_changes_nothing(stage: Stage) -> None:
    primary = await stage.primary()
    before: Any = (await primary.postgres.observe()).sysid
    await primary.postgres.stop(fast=True)
    nobody = Upstream("demo-9", "127.0.0.9", 1)
    with pytest.raises(ProgramFailed):
        await primary.postgres.clone(nobody, SETTINGS)
    with pytest.raises(PostgresError):
        await primary.postgres.ask_history(nobody, 1)
    assert (await primary.postgres.observe()).sysid == before


async def a_former_primarys_wal_waits_for_its_archive(stage: Stage) -> None:
    """A primary archives by itself; what it had finished when it died is offered, and counted until it is taken."""
    primary = await stage.primary()
    await primary.postgres.stop(fast=True)
    await primary.postgres.start(StartMode(primary=True), archiving("false"))
    for _ in range(2):
        await primary.finish_segment()
    assert (await primary.postgres.observe()).unarchived == 0
    await primary.postgres.kill()
    waiting = (await seen(primary, lambda view: view.unarchived >= 2)).unarchived
    refused = await primary.postgres.archive_wal(within=20.0)
    assert (refused.done, refused.left) == (0, waiting) and "status 1" in refused.complaint
    await primary.postgres.start(StartMode(primary=False), archiving("true"))
    assert (await seen(primary, lambda view: view.running)).unarchived == waiting, "no archiver runs in recovery"
    taken = await primary.postgres.archive_wal(within=20.0)
    assert (taken.done, taken.left, taken.complaint) == (waiting, 0, "")
    assert (await seen(primary, lambda view: view.unarchived == 0)).led_timeline == 1


async def a_stopping_primary_that_still_archives_is_closed(stage: Stage) -> None:
    """The last record is written and told; nothing is committed any more, and the server takes its time to end."""
    primary = await stage.primary()
    await primary.postgres.stop(fast=True)
    await primary.postgres.start(StartMode(primary=True), archiving("sleep 5"))
    await primary.finish_segment()
    told: list[int] = []

    async def tell(lsn: int) -> None:
        told.append(lsn)

    stopping = asyncio.ensure_future(primary.postgres.stop(fast=True, on_shutdown_checkpoint=tell))
    view = await seen(primary, lambda view: view.closed, within_s=8.0)
    assert not view.writable and not stopping.done()
    assert view.control is not None and view.control.state == "shut down"
    await stopping
    assert (await primary.postgres.observe()).process == "stopped" and len(told) == 1


async def rewound_data_is_proven_by_a_server_that_comes_up(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await replica.postgres.follow(None, SETTINGS)
    await seen(replica, lambda view: not view.streaming)
    await primary.write()
    await replica.postgres.promote()
    await replica.postgres.sync_slots((primary.name.replace("-", "_"),), ())
    await replica.write()
    await replica.postgres.checkpoint()
    await primary.postgres.kill()
    await primary.postgres.rewind(replica.upstream)
    view = await primary.postgres.observe()
    assert view.unproven and view.control is not None and not view.control.was_primary
    assert view.control.timeline == 2 and (view.control.consistent_at or 0) <= ((await at(replica)) or 0)
    await primary.postgres.start(StartMode(False, replica.upstream), SETTINGS)
    assert not (await seen(primary, lambda view: view.streaming)).unproven


async def at(party: Party) -> int | None:
    return (await party.postgres.observe()).lsn


def archiving(command: str) -> ClusterSettings:
    parameters = {**SETTINGS.parameters, "archive_mode": "on", "archive_command": command, "wal_keep_size": "1GB"}
    return ClusterSettings(parameters=parameters)


CONTRACT: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    a_replica_streams_and_is_promoted,
    a_diverged_primary_is_rewound,
    a_replica_is_a_source_of_a_rewind_too,
    nothing_to_rewind_is_a_failure,
    a_killed_primary_comes_back,
    the_end_of_the_wal_stream_is_told_at_once,
    a_silent_wal_stream_is_told,
    standbys_that_come_and_go_are_told_where_commits_wait_for_them,
    a_fast_stop_tells_its_last_position,
    commits_wait_for_the_named_standby,
    any_of_the_named_standbys_will_do,
    names_set_before_a_promotion_hold_from_its_first_commit,
    *SLOTS_CONTRACT,
    an_unreachable_source_changes_nothing,
    a_former_primarys_wal_waits_for_its_archive,
    a_stopping_primary_that_still_archives_is_closed,
    rewound_data_is_proven_by_a_server_that_comes_up,
)
