"""The fence on a real primary: nothing is acknowledged after the lease, whatever the agent does."""

from __future__ import annotations

import asyncio
import os
import signal

import psycopg
import pytest
from component.postgres.member import QUICK, SECRETS, Member, Members, children_of

from matriarch.config.quoting import conninfo
from matriarch_agent.init import kernel
from matriarch_agent.ports import StartMode

pytestmark = pytest.mark.component

WRITERS = 12
COPYING = "select count(*) from pg_stat_activity where query like 'copy u %'"


def where(member: Member) -> str:
    user, password = SECRETS["superuser"]
    port = str(member.place.port)
    return conninfo({"host": "127.0.0.1", "port": port, "user": user, "password": password, "dbname": "postgres"})


async def write(member: Member, acknowledged: list[float], begun: asyncio.Event) -> None:
    """Commit until the connection breaks, noting when each acknowledgement came."""
    try:
        async with await psycopg.AsyncConnection.connect(where(member), autocommit=True) as session:
            while True:
                await session.execute("insert into t values (1)")
                acknowledged.append(kernel.now())
                begun.set()
    except psycopg.Error:
        return


async def test_nothing_is_acknowledged_after_the_lease(members: Members) -> None:
    member = await members.primary()
    async with await psycopg.AsyncConnection.connect(where(member), autocommit=True) as session:
        await session.execute("create table t (id int)")
        # A program that a session started has to die too.
        await session.execute("create table u (line text)")
    acknowledged: list[float] = []
    begun = [asyncio.Event() for _ in range(WRITERS)]
    writers = [asyncio.create_task(write(member, acknowledged, event)) for event in begun]
    outside = asyncio.create_task(write_outside(member))
    async with asyncio.timeout(30):
        await asyncio.gather(*(event.wait() for event in begun))
        while not await member.sql(COPYING):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    agent = next(line["pid"] for line in member.init_log() if line["event"] == "agent started")
    os.kill(agent, signal.SIGSTOP)
    status = await member.init.status()
    assert status.pid is not None
    processes = [status.pid, *children_of(status.pid)]
    assert len(processes) > WRITERS
    until = kernel.now() + 0.5
    await member.init.set_lease(until)
    await asyncio.wait([*writers, outside], timeout=10)
    os.kill(agent, signal.SIGCONT)
    assert all(task.done() for task in [*writers, outside])
    late = max(acknowledged) - until
    assert late < 0.1, f"acknowledged {late * 1000:.0f} ms after the lease"
    assert max(acknowledged) > until - 0.3, "the writers were at it until the end"
    async with asyncio.timeout(5):
        while True:
            if (await member.postgres.observe()).process == "stopped":
                break
            await asyncio.sleep(0.01)
    told = next(line for line in member.init_log() if line["event"] == "lease ended, Postgres killed")
    assert told["late_ms"] < 50
    ended = next(line for line in member.init_log() if line["event"] == "postmaster ended")
    assert ended["status"] == -signal.SIGKILL
    await member.init.set_lease(None)
    await member.postgres.start(StartMode(primary=True), QUICK)
    assert int(await member.sql("select count(*) from public.t")) >= len(acknowledged)


async def write_outside(member: Member) -> None:
    """A session that runs a program outside of Postgres."""
    try:
        async with await psycopg.AsyncConnection.connect(where(member), autocommit=True) as session:
            await session.execute("copy u from program 'sleep 986'")
    except psycopg.Error:
        return
