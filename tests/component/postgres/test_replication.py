"""Two and three members: clone and follow, promote, rewind, synchronous commit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from component.postgres.member import QUICK, SECRETS, Member, Members, eventually

from matriarch.config.quoting import conninfo
from matriarch.ha.divergence import Verdict, judge
from matriarch.ha.view import PostgresView, Upstream
from matriarch.words.errors import PostgresError, ProgramFailed, QueryFailed
from matriarch.words.sync_names import BLOCKED, NOBODY, every
from matriarch_agent.ports import StartMode

OLDEST = """
select min(('x' || substr(name, 9, 8))::bit(32)::bigint * 4294967296
  + ('x' || substr(name, 17))::bit(32)::bigint * 16777216)
from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'
"""
pytestmark = pytest.mark.component


async def until(
    member: Member, wanted: str, check: Callable[[PostgresView], bool], within: float = 15.0
) -> PostgresView:
    """Observe until `check` holds."""
    try:
        async with asyncio.timeout(within):
            while True:
                view = await member.postgres.observe()
                if check(view):
                    return view
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise TimeoutError(f"{member.name} is not {wanted} within {within} s: {view}") from error


async def caught_up(replica: Member, primary: Member) -> None:
    target = (await primary.postgres.observe()).lsn or 0
    await until(replica, "caught up", lambda view: (view.replayed_lsn or 0) >= target)


async def slot_names(member: Member) -> list[str]:
    return [slot.name for slot in (await member.postgres.observe()).slots or ()]


def user_session(member: Member, **options: str) -> str:
    user, password = SECRETS["superuser"]
    where = {"host": "127.0.0.1", "port": str(member.place.port), "user": user, "password": password}
    return conninfo({**where, "dbname": "postgres", **options})


async def test_clone_follows_and_is_promoted(members: Members) -> None:
    primary = await members.primary()
    await primary.sql("create table public.t as select generate_series(1, 1000) as id")
    replica = await members.replica(primary, "demo-1")
    view = await until(replica, "streaming", lambda view: view.streaming)
    assert (view.in_recovery, view.upstream, view.timeline, view.led_timeline) == (True, "demo-0", 1, None)
    assert view.heard_age is not None and view.heard_age < 5 and not view.unborn
    assert view.control is not None and not view.control.was_primary
    await caught_up(replica, primary)
    assert await replica.sql("select count(*) from public.t") == 1000
    # Which its WAL sender says of itself only once it has sent everything.
    await until(primary, "streamed from", lambda view: [row.state for row in view.standbys] == ["streaming"])
    assert [row.name for row in (await primary.postgres.observe()).standbys] == ["demo-1"]
    assert await slot_names(primary) == ["demo_1"]
    await primary.postgres.kill()
    await until(replica, "not streaming", lambda view: not view.streaming)
    lonely = await replica.postgres.observe()
    assert lonely.timeline == 1, "a standby that receives nothing still knows its timeline"
    await replica.postgres.promote()
    view = await replica.postgres.observe()
    assert (view.in_recovery, view.timeline, view.upstream, view.led_timeline) == (False, 2, None, 2)
    await replica.sql("insert into public.t values (1001)")
    history = await replica.postgres.local_history()
    assert [entry.timeline for entry in history] == [1] and (lonely.lsn or 0) <= history[0].lsn
    assert await replica.sql("select current_setting('primary_conninfo') || current_setting('primary_slot_name')") == ""


async def test_diverged_primary_is_rewound_and_what_it_drops_is_counted(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await primary.sql("create table public.t as select 0 as id")
    await caught_up(replica, primary)
    await replica.postgres.follow(None, QUICK)
    assert not (await replica.postgres.observe()).streaming, "following nobody is done when the receiver is closed"
    await primary.sql("insert into public.t select generate_series(1, 10000)")
    lost = (await primary.postgres.observe()).lsn or 0
    await replica.postgres.promote()
    await replica.sql("insert into public.t values (-1)")
    await replica.postgres.checkpoint()
    await primary.postgres.kill()
    remote = await primary.postgres.ask_history(replica.upstream, 7)
    assert (remote.timeline, remote.in_recovery, remote.epoch) == (2, False, 7)
    assert remote.oldest is not None and 0 < remote.oldest <= remote.switches[1]
    assert remote.oldest == int(await replica.sql(OLDEST))
    await primary.postgres.rewind(replica.upstream)
    done = primary.postgres.last_rewind
    assert done is not None and done.fork_lsn == remote.switches[1]
    assert lost - remote.switches[1] <= done.dropped_bytes < lost - remote.switches[1] + 4096
    assert primary.logged[-1]["dropped_wal_bytes"] == done.dropped_bytes
    await replica.postgres.sync_slots(("demo_0",), ())
    await primary.postgres.start(StartMode(primary=False, upstream=replica.upstream), QUICK)
    view = await until(primary, "streaming", lambda view: view.streaming and view.timeline == 2)
    assert view.led_timeline is None, "the rewound data is the new primary's"
    await caught_up(primary, replica)
    assert await primary.sql("select array_agg(id order by id)::text from public.t") == "{-1,0}"


async def test_nothing_to_rewind_is_a_failure(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    await replica.postgres.stop(fast=True)
    with pytest.raises(ProgramFailed, match="no divergence"):
        await replica.postgres.rewind(primary.upstream)


async def test_interrupted_rewind_is_never_started_from(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    await replica.postgres.stop(fast=True)
    replica.postgres._directory.note_rewind(True)
    with pytest.raises(ProgramFailed, match="interrupted"):
        await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), QUICK)
    with pytest.raises(ProgramFailed, match="interrupted"):
        await replica.postgres.rewind(primary.upstream)
    await replica.postgres.clone(primary.upstream, QUICK)
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), QUICK)


async def test_unreachable_source_leaves_the_data_as_it_was(members: Members) -> None:
    primary = await members.primary()
    sysid = (await primary.postgres.observe()).sysid
    await primary.postgres.stop(fast=True)
    nobody = replace(primary.upstream, port=1)
    with pytest.raises(ProgramFailed):
        await primary.postgres.rewind(nobody)
    assert not (await primary.postgres.observe()).unproven
    with pytest.raises(ProgramFailed, match="pg_basebackup"):
        await primary.postgres.clone(nobody, QUICK)
    with pytest.raises(PostgresError):
        await primary.postgres.ask_history(nobody, 1)
    await primary.postgres.start(StartMode(primary=True), QUICK)
    assert (await primary.postgres.observe()).sysid == sysid


async def test_standbys_data_is_not_started_as_a_primary(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await replica.postgres.stop(fast=True)
    with pytest.raises(PostgresError, match="promoted"):
        await replica.postgres.start(StartMode(primary=True), QUICK)


async def test_former_primary_remembers_the_timeline_it_led(members: Members) -> None:
    primary = await members.primary()
    await primary.postgres.stop(fast=True)
    await primary.postgres.start(StartMode(primary=False), QUICK)
    view = await primary.postgres.observe()
    assert (view.in_recovery, view.timeline, view.led_timeline) == (True, 1, 1)


async def test_standby_never_starts_below_its_primary(members: Members) -> None:
    large = replace(QUICK, parameters={**QUICK.parameters, "max_connections": 60, "max_locks_per_transaction": 99})
    primary = await members.make("demo-0")
    await primary.postgres.bootstrap(large, ())
    await primary.postgres.start(StartMode(primary=True), large)
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    assert await replica.sql("show max_connections") == "60"
    assert await replica.sql("show max_locks_per_transaction") == "99"
    await primary.postgres.kill()
    await replica.postgres.promote()
    assert (await replica.postgres.observe()).applied is None, "as a primary it may have what it was set to"
    await replica.postgres.apply(QUICK)
    pending = (await until(replica, "pending", lambda view: bool(view.pending_restart))).pending_restart
    assert pending["max_connections"] == {"old_value": "60", "new_value": "30"}


async def test_commits_wait_for_the_names_in_force(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    await primary.postgres.set_sync_names(every(("demo-1",)))
    view = await primary.postgres.observe()
    assert view.sync_names == every(("demo-1",)) and view.sync_names_lsn > 0
    async with await psycopg.AsyncConnection.connect(user_session(primary), autocommit=True) as session:
        await session.execute("create table t (id int)")
        row = next(row for row in (await primary.postgres.observe()).standbys if row.name == "demo-1")
        assert row.sync_state == "sync" and (row.flush_lsn or 0) >= view.sync_names_lsn
        await replica.postgres.kill()
        waiting = asyncio.create_task(session.execute("insert into t values (1)"))
        await asyncio.sleep(0.7)
        assert not waiting.done(), "nobody acknowledged"
        await primary.postgres.set_sync_names(NOBODY)
        async with asyncio.timeout(15):
            await waiting
        await primary.postgres.set_sync_names(BLOCKED)
        view = await primary.postgres.observe()
        assert view.sync_names == BLOCKED
        waiting = asyncio.create_task(session.execute("insert into t values (2)"))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await primary.postgres.set_sync_names(NOBODY)
        await waiting


async def test_names_that_are_not_in_force_are_not_told(members: Members) -> None:
    primary = await members.primary()
    checkpointer = int(await primary.sql("select pid from pg_stat_activity where backend_type = 'checkpointer'"))
    os.kill(checkpointer, signal.SIGSTOP)
    try:
        with pytest.raises(QueryFailed, match="not in force"):
            await primary.postgres.set_sync_names(every(("demo-1",)))
        assert (await primary.postgres.observe()).sync_names == NOBODY
    finally:
        os.kill(checkpointer, signal.SIGCONT)
    await primary.postgres.set_sync_names(every(("demo-1",)))
    assert (await primary.postgres.observe()).sync_names == every(("demo-1",))


async def test_slots_are_made_and_only_idle_ones_dropped(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    await primary.postgres.sync_slots(("demo_1", "demo_2"), ())
    assert await slot_names(primary) == ["demo_1", "demo_2"]
    await primary.postgres.sync_slots((), ("demo_1", "demo_2", "absent"))
    assert await slot_names(primary) == ["demo_1"]
    with pytest.raises(QueryFailed):
        await primary.postgres.sync_slots(("Not A Slot'; drop table x",), ())


async def test_a_former_primarys_slot_that_pins_old_rows_is_made_anew(members: Members) -> None:
    """An inactive slot with xmin is told to the new primary by feedback, and stops vacuum there for nobody's sake."""
    feedback = replace(QUICK, parameters={**QUICK.parameters, "hot_standby_feedback": True})
    primary = await members.primary()
    replica = await members.make("demo-1")
    await replica.postgres.clone(primary.upstream, feedback)
    await primary.postgres.sync_slots(("demo_1",), ())
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), feedback)
    # At once when the standby can be read by then, and ten seconds later otherwise.
    await until(primary, "told of rows", lambda view: any(slot.holds_rows for slot in view.slots or ()), within=30)
    await primary.postgres.stop(fast=True)
    await replica.postgres.promote()
    await replica.postgres.sync_slots(("demo_0",), ())
    await primary.postgres.start(StartMode(primary=False, upstream=replica.upstream), feedback)
    view = await until(primary, "streaming", lambda view: view.streaming)
    (slot,) = view.slots or ()
    assert slot.holds_rows and not slot.active
    await primary.postgres.sync_slots(("demo_1",), ("demo_1",))
    (slot,) = (await primary.postgres.observe()).slots or ()
    assert (slot.name, slot.holds_rows, slot.usable) == ("demo_1", False, True)


async def test_a_slot_whose_wal_was_removed_is_told_as_lost(members: Members) -> None:
    primary = await members.primary()
    await primary.postgres.sync_slots(("demo_1",), ())
    await primary.sql("alter system set max_slot_wal_keep_size = '1MB'")
    await primary.sql("alter system set wal_keep_size = 0")
    await primary.postgres._server.reload()
    for _ in range(4):
        await primary.sql("select pg_switch_wal() from (select pg_logical_emit_message(true, 'x', 'y')) m")
    async with asyncio.timeout(15):
        # One checkpoint may come before the checkpointer has heard of the reload, and the server's next one in minutes.
        while not any(slot.lost for slot in (await primary.postgres.observe()).slots or ()):
            await primary.postgres.checkpoint()
    assert [slot.usable for slot in (await primary.postgres.observe()).slots or ()] == [False]
    await primary.postgres.sync_slots(("demo_1",), ("demo_1",))
    assert [slot.usable for slot in (await primary.postgres.observe()).slots or ()] == [True]


async def test_cancelled_clone_leaves_the_old_data(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await replica.postgres.stop(fast=True)
    task = asyncio.create_task(replica.postgres.clone(primary.upstream, QUICK))
    await eventually((replica.place.volume / "pgdata.new").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (replica.place.volume / "pgdata.new").exists()
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), QUICK)
    await until(replica, "streaming", lambda view: view.streaming)


async def test_closing_the_receiver_is_told_only_when_it_is_certain(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    startup = int(await replica.sql("select pid from pg_stat_activity where backend_type = 'startup'"))
    os.kill(startup, signal.SIGSTOP)
    try:
        with pytest.raises(QueryFailed, match="startup"):
            await replica.postgres.follow(None, QUICK)
    finally:
        os.kill(startup, signal.SIGCONT)
    await replica.postgres.follow(None, QUICK)
    assert not (await replica.postgres.observe()).streaming
    await replica.postgres.follow(primary.upstream, QUICK)
    await until(replica, "streaming", lambda view: view.streaming)


async def test_rewound_data_whose_source_is_gone_gets_its_wal_from_the_next_leader(members: Members) -> None:
    """A server does not come up on it without the WAL that its source wrote up to the end of the rewind."""
    primary = await members.primary()
    first, second = await members.replica(primary, "demo-1"), await members.replica(primary, "demo-2")
    await primary.sql("create table public.t as select 0 as id")
    for replica in (first, second):
        await caught_up(replica, primary)
        await replica.postgres.follow(None, QUICK)
    await primary.sql("insert into public.t select generate_series(1, 1000)")
    await first.postgres.promote()
    await first.postgres.sync_slots(("demo_2", "demo_0"), ())
    await second.postgres.follow(first.upstream, QUICK)
    await first.sql("insert into public.t values (-1)")
    await first.sql("select pg_switch_wal()::text")
    await first.sql("insert into public.t values (-2)")
    await first.postgres.checkpoint()
    await until(second, "on timeline 2", lambda view: view.timeline == 2)
    await caught_up(second, first)
    await primary.postgres.kill()
    await primary.postgres.rewind(first.upstream)
    view = await primary.postgres.observe()
    assert view.unproven and view.control is not None and view.control.consistent_at is not None
    # As if the source had begun this segment after its WAL was copied.
    segments = sorted(path for path in (primary.place.pgdata / "pg_wal").glob("00000002*") if len(path.name) == 24)
    segments[-1].unlink()
    await first.postgres.kill()
    starting = asyncio.create_task(primary.postgres.start(StartMode(primary=False), QUICK))
    await asyncio.sleep(3.0)
    assert not starting.done() and (await primary.postgres.observe()).unproven
    starting.cancel()
    await asyncio.wait({starting})
    await primary.postgres.kill()
    await second.postgres.promote()
    await second.postgres.sync_slots(("demo_0",), ())
    remote = await primary.postgres.ask_history(second.upstream, 9)
    assert judge(await primary.postgres.observe(), remote, "demo-0", ()) is Verdict.STREAM
    await primary.postgres.start(StartMode(primary=False, upstream=second.upstream), QUICK)
    view = await until(primary, "streaming", lambda view: view.streaming and view.timeline == 3)
    assert not view.unproven
    await caught_up(primary, second)
    assert await primary.sql("select array_agg(id order by id)::text from public.t") == "{-2,-1,0}"


async def test_of_several_hosts_the_primary_is_asked_copied_and_followed(members: Members) -> None:
    """What `standby_cluster.host` may be: the first does not answer, and a replica is passed over."""
    primary = await members.primary()
    several = Upstream("far", "127.0.0.9,127.0.0.1", primary.place.port, remote=True)
    standby = await members.make("far-0")
    await standby.postgres.clone(several, QUICK)
    assert (await standby.postgres.ask_history(several, 1)).in_recovery is False
    await standby.postgres.start(StartMode(primary=False, upstream=several), QUICK)
    await until(standby, "streaming", lambda view: view.streaming)
    replicas = Upstream("far", "127.0.0.9,127.0.0.1", standby.place.port, remote=True)
    with pytest.raises(PostgresError):
        await primary.postgres.ask_history(replicas, 1)
