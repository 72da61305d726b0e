"""A real server that runs and is of no use, and one that only seems so."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from component.postgres.member import QUICK, Member, Members

from matriarch.ha.view import PostgresView
from matriarch.words.sync_names import every
from matriarch_agent.ports import StartMode

pytestmark = pytest.mark.component


async def looked(member: Member, enough: Callable[[PostgresView], bool], within_s: float = 15.0) -> PostgresView:
    """Look again and again, as an agent does, until something is seen."""
    async with asyncio.timeout(within_s):
        while True:
            view = await member.postgres.observe()
            if enough(view):
                return view
            await asyncio.sleep(0.2)


def writing(member: Member) -> subprocess.Popen[bytes]:
    """A client that commits once, and waits for that as long as it takes."""
    psql = [member.place.program("psql"), "-X", "-h", str(member.place.run), "-p", str(member.place.port)]
    work = [*psql, "-U", "postgres", "-c", "select pg_logical_emit_message(true, 'a', 'b')", "postgres"]
    return subprocess.Popen(work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def stays_usable(member: Member, seconds: float = 6.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        view = await member.postgres.observe()
        assert view.process == "running" and (view.unusable_for or 0.0) < 2.0, view.unusable_why
        await asyncio.sleep(0.2)


async def test_a_postmaster_that_hangs_is_noticed_killed_and_started_again(members: Members) -> None:
    member = await members.primary()
    await looked(member, lambda view: view.in_recovery is False)
    pid = (await member.init.status()).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    view = await looked(member, lambda view: (view.unusable_for or 0.0) > 3.0)
    assert view.process == "running" and view.in_recovery is False, "the lasting session goes on"
    assert view.unusable_why == "no answer to a new session"
    await member.postgres.kill()
    assert (await member.postgres.observe()).unusable_for is None
    await member.postgres.start(StartMode(primary=True), QUICK)
    await stays_usable(member, 4.0)


async def test_files_out_of_reach_are_noticed(members: Members) -> None:
    member = await members.primary()
    await looked(member, lambda view: view.in_recovery is False)
    file = member.place.pgdata / "global" / "pg_filenode.map"
    file.rename(member.base / "aside")
    view = await looked(member, lambda view: (view.unusable_for or 0.0) > 3.0)
    assert view.in_recovery is False, "the lasting session goes on"
    assert view.unusable_why.startswith("58")
    (member.base / "aside").rename(file)
    await looked(member, lambda view: view.unusable_for is None)


async def test_taken_connections_and_waiting_commits_are_no_failure(members: Members) -> None:
    """Every connection that clients may have is taken, and all of them wait for a standby that is not there."""
    member = await members.primary()
    await member.postgres.set_sync_names(every(("nobody",)))
    clients = [writing(member) for _ in range(40)]
    try:
        await stays_usable(member)
    finally:
        for client in clients:
            client.kill()
            client.wait()


async def test_a_replica_that_hangs_is_noticed(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await looked(replica, lambda view: view.in_recovery is True)
    pid = (await replica.init.status()).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await looked(replica, lambda view: (view.unusable_for or 0.0) > 2.0)
    await replica.postgres.kill()


async def test_an_idle_primary_writes_nothing_because_it_is_looked_at(members: Members) -> None:
    member = await members.primary()
    await looked(member, lambda view: view.in_recovery is False)
    await stays_usable(member, 2.0)
    # Fifteen seconds after its start the server writes by itself, once, which transactions run.
    assert not (await written_in(member, 8.0) and await written_in(member, 8.0))


async def written_in(member: Member, seconds: float) -> bool:
    """Whether WAL is written while the member is looked at for so long."""
    before = await member.sql("select pg_current_wal_insert_lsn()::text")
    await stays_usable(member, seconds)
    return bool(await member.sql("select pg_current_wal_insert_lsn()::text") != before)
