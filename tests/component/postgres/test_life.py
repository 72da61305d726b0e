"""One member's life: bootstrap, start and stop, death and restart, adoption by a new agent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace

import psycopg
import pytest
from component.postgres.member import QUICK, SECRETS, Member, Members, children_of, eventually

from matriarch.config.quoting import conninfo
from matriarch.words.errors import NotRunning, PostgresError, ProgramFailed
from matriarch.words.sync_names import every
from matriarch_agent.init.client import InitClient
from matriarch_agent.ports import StartMode
from matriarch_agent.postgres.local import LocalPostgres

pytestmark = pytest.mark.component

PRIMARY = StartMode(primary=True)


def over_network(member: Member, kind: str, dbname: str) -> psycopg.Connection[tuple[object, ...]]:
    user, password = SECRETS[kind]
    port = str(member.place.port)
    return psycopg.connect(
        conninfo({"host": "127.0.0.1", "port": port, "user": user, "password": password, "dbname": dbname})
    )


async def test_bootstrap_makes_roles_and_database_without_telling_passwords(members: Members) -> None:
    member = await members.make("demo-0", database="shop", owner="app", locale="C.UTF-8", data_checksums=True)
    assert (await member.postgres.observe()).data == "empty"
    sysid = await member.postgres.bootstrap(QUICK, ())
    view = await member.postgres.observe()
    assert (view.process, view.unborn) == ("stopped", True)
    await member.postgres.start(PRIMARY, QUICK)
    view = await member.postgres.observe()
    assert (view.data, view.process, view.in_recovery, view.sysid) == ("present", "running", False, sysid)
    assert view.timeline == 1 and view.control is not None and view.control.checksums and not view.unborn
    with over_network(member, "app", "shop") as connection:
        connection.execute("create table t (id int)")
    with over_network(member, "superuser", "postgres") as connection:
        assert connection.execute("show is_superuser").fetchone() == ("on",)
    with over_network(member, "replication", "postgres") as connection:
        assert connection.execute("select pg_read_binary_file('PG_VERSION') is not null").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from pg_authid")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"host=127.0.0.1 port={member.place.port} user=app password=wrong dbname=shop")
    logged = (member.base / "postgres.log").read_text() + (member.base / "init.log").read_text()
    assert not [password for _, password in SECRETS.values() if password in logged]
    assert "SCRAM-SHA-256$" not in logged


async def test_bootstrap_without_a_secret_leaves_an_empty_member(members: Members) -> None:
    member = await members.make("demo-0")
    (member.place.secrets / "app" / "password").unlink()
    with pytest.raises(PostgresError, match="Secret"):
        await member.postgres.bootstrap(QUICK, ())
    assert (await member.postgres.observe()).data == "empty"
    assert sorted(path.name for path in member.place.volume.iterdir()) == [".matriarch.lock"]


async def test_bootstrap_with_a_failing_statement_leaves_an_empty_member(members: Members) -> None:
    member = await members.make("demo-0", database="template1")
    with pytest.raises(ProgramFailed, match="template1"):
        await member.postgres.bootstrap(QUICK, ())
    assert (await member.postgres.observe()).data == "empty"


async def test_cancelled_bootstrap_leaves_an_empty_member(members: Members) -> None:
    member = await members.make("demo-0")
    task = asyncio.create_task(member.postgres.bootstrap(QUICK, ()))
    await eventually((member.place.volume / "pgdata.new" / "PG_VERSION").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await member.postgres.observe()).data == "empty"
    await member.postgres.bootstrap(QUICK, ())


async def test_fast_stop_tells_where_the_wal_ends(members: Members) -> None:
    member = await members.primary()
    told: list[int] = []

    async def tell(lsn: int) -> None:
        told.append(lsn)

    await member.postgres.stop(fast=True, on_shutdown_checkpoint=tell)
    view = await member.postgres.observe()
    assert view.process == "stopped" and view.control is not None
    assert view.control.state == "shut down" and view.control.clean and view.control.was_primary
    assert told == [view.control.end_lsn]
    await member.postgres.start(PRIMARY, QUICK)
    # The next server's first record begins exactly where the shutdown record ended.
    prior = int(await member.sql("select pg_wal_lsn_diff(redo_lsn, '0/0') from pg_control_checkpoint()"))
    assert prior <= told[0] <= int(await member.sql("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))


async def test_a_primary_that_does_not_react_is_stopped_in_bounded_time(members: Members) -> None:
    """Checkpoint and fast shutdown are tried in vain: then immediately, then by SIGKILL."""
    member = await members.primary()
    (checkpointer,) = await member.postgres._session.row(
        "select pid from pg_stat_activity where backend_type = 'checkpointer'"
    )
    os.kill(checkpointer, signal.SIGSTOP)
    told: list[int] = []

    async def note(lsn: int) -> None:
        told.append(lsn)

    began = time.monotonic()
    await member.postgres.stop(fast=True, within=1.5, on_shutdown_checkpoint=note)
    assert time.monotonic() - began < 1.5 + 5.0 + 4.0
    view = await member.postgres.observe()
    assert view.process == "stopped" and view.control is not None and not view.control.clean
    assert told == [], "there is no last record"


async def test_a_shutdown_that_somebody_else_began_is_seen_to_its_end(members: Members) -> None:
    """A smart one waits for all sessions, the agent's own among them, and a fast one may hang."""
    member = await members.primary()
    for hangs in (False, True):
        which = "select pid from pg_stat_activity where backend_type = 'checkpointer'"
        (checkpointer,) = await member.postgres._session.row(which)
        if hangs:
            os.kill(checkpointer, signal.SIGSTOP)
        await member.init.signal("INT" if hangs else "TERM")
        async with asyncio.timeout(5.0):
            while (view := await member.postgres.observe()).process == "running":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (view.process, view.in_recovery) == ("stopping", None)
        within, began = 1.5 if hangs else 15.0, time.monotonic()
        await member.postgres.stop(fast=True, within=within)
        assert time.monotonic() - began < within + 5.0 + 4.0
        view = await member.postgres.observe()
        assert view.process == "stopped" and view.control is not None and view.control.clean is not hangs
        await member.postgres.start(PRIMARY, QUICK)


async def test_immediate_stop_and_kill_leave_a_crashed_primary(members: Members) -> None:
    member = await members.primary()
    await member.postgres.stop(fast=False)
    view = await member.postgres.observe()
    assert view.process == "stopped" and view.control is not None and not view.control.clean
    await member.postgres.start(PRIMARY, QUICK)
    with pytest.raises(NotRunning):
        await member.postgres.start(PRIMARY, QUICK)
    await member.postgres.kill()
    assert (await member.postgres.observe()).process == "stopped"


async def test_killed_postmaster_is_back_within_half_a_second(members: Members) -> None:
    member = await members.primary()
    await member.sql("create table public.t (id int)")
    took = []
    for number in range(4):
        await member.sql(f"insert into public.t values ({number})")
        sleeper = asyncio.create_task(member.sql("select pg_sleep(60)"))
        await asyncio.sleep(0.05)
        pid = (await member.init.status()).pid
        assert pid is not None
        await member.postgres.wait_for_change()
        change = asyncio.create_task(member.postgres.wait_for_change())
        await asyncio.sleep(0)
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        await change
        assert (await member.postgres.observe()).process == "stopped"
        await member.postgres.start(PRIMARY, QUICK)
        took.append(time.perf_counter() - began)
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)
    assert await member.sql("select count(*) from public.t") == 4
    assert min(took) < 0.5, took


async def test_a_start_does_not_speak_to_the_dead_predecessor(members: Members) -> None:
    member = await members.primary()
    await member.postgres.observe()
    pid = (await member.init.status()).pid
    assert pid is not None
    seen = member.init.changes
    os.kill(pid, signal.SIGKILL)
    await member.init.wait_for_change(seen)
    await member.postgres.start(PRIMARY, QUICK)
    assert (await member.postgres.observe()).failures == 0


def agents(member: Member) -> list[int]:
    """Every agent that init has started."""
    return [line["pid"] for line in member.init_log() if line["event"] == "agent started"]


async def test_a_dead_agent_leaves_postgres_and_the_next_one_adopts_it(members: Members) -> None:
    member = await members.primary()
    await member.postgres.set_sync_names(every(("demo-1",)))
    before = await member.init.status()
    (agent,) = agents(member)
    os.kill(agent, signal.SIGKILL)
    await eventually(lambda: len(agents(member)) == 2)
    client = InitClient(member.place.init_socket)
    successor = LocalPostgres(member.place, client, lambda event, **facts: None)
    try:
        view = await successor.observe()
        assert (await client.status()).pid == before.pid
        assert (view.process, view.in_recovery, view.sync_names) == ("running", False, every(("demo-1",)))
        assert view.sync_names_lsn > 0 and view.applied is None
        await successor.apply(QUICK)
        assert (await successor.observe()).sync_names == every(("demo-1",)), "applying settings keeps who is waited for"
    finally:
        await successor.close()
        await client.close()


async def test_a_volume_that_is_not_there_is_unknown(members: Members) -> None:
    member = await members.primary()
    await member.postgres.stop(fast=True)
    volume = member.place.volume
    volume.rename(volume.with_name("away"))
    view = await member.postgres.observe()
    assert (view.data, view.control) == ("unknown", None)
    volume.mkdir()
    assert (await member.postgres.observe()).data == "unknown", "an empty folder without init's lock is another volume"
    volume.rmdir()
    volume.with_name("away").rename(volume)
    assert (await member.postgres.observe()).data == "present"


async def test_leftovers_of_a_dead_postmaster_do_not_hinder(members: Members) -> None:
    member = await members.primary()
    await member.postgres.kill()
    for path in (member.place.pgdata / "postmaster.pid", member.place.run / f".s.PGSQL.{member.place.port}.lock"):
        lines = path.read_text().splitlines() if path.exists() else [""] * 8
        path.write_text("\n".join([str(os.getppid()), *lines[1:]]))
    await member.postgres.start(PRIMARY, QUICK)


async def test_observe_is_quick_when_the_server_hangs(members: Members) -> None:
    member = await members.primary()
    await member.postgres.observe()
    pid = (await member.init.status()).pid
    assert pid is not None
    for process in [pid, *children_of(pid)]:
        os.kill(process, signal.SIGSTOP)
    began = time.perf_counter()
    view = await member.postgres.observe()
    assert time.perf_counter() - began < 2.0
    assert (view.process, view.in_recovery, view.lsn) == ("running", None, None)
    await member.postgres.kill()
    assert (await member.postgres.observe()).process == "stopped"


async def test_a_damaged_server_does_not_start_and_says_so(members: Members) -> None:
    member = await members.primary()
    await member.postgres.stop(fast=True)
    for segment in (member.place.pgdata / "pg_wal").glob("0*"):
        segment.unlink()
    for failures in (1, 2):
        with pytest.raises(PostgresError, match="ended while starting"):
            await member.postgres.start(PRIMARY, QUICK)
        view = await member.postgres.observe()
        assert (view.failures, view.data_failures) == (failures, failures)
        assert "ended while starting" in view.last_error


async def test_a_start_that_fails_over_a_parameter_is_not_held_against_the_data(members: Members) -> None:
    """A member whose server never turned to its data is not to be copied anew: the copy would fare no better."""
    member = await members.primary()
    await member.postgres.stop(fast=True)
    wrong = replace(QUICK, parameters={"max_connections": 30, "superuser_reserved_connections": 40})
    for failures in (1, 2):
        with pytest.raises(PostgresError, match="a parameter, or what this machine has to give"):
            await member.postgres.start(PRIMARY, wrong)
        view = await member.postgres.observe()
        assert (view.failures, view.data_failures) == (failures, 0)
    await member.postgres.start(PRIMARY, QUICK)
    assert (await member.postgres.observe()).failures == 0
