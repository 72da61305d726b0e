"""init with ordinary programs in Postgres' place: the lock, the leash, the agent's restarts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from component.postgres.member import Member, Members, children_of, eventually, resident_kb

from matriarch.words.errors import NotRunning, PostgresError
from matriarch_agent.init import kernel
from matriarch_agent.init.wire import request

pytestmark = pytest.mark.component

PATH = {"PATH": os.environ["PATH"]}
FAMILY = ["sh", "-c", "sleep 987 & setsid sleep 987 & setsid sh -c 'sleep 987 & sleep 987 & wait' & wait"]
"""A parent with children in sessions of their own, and their children."""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def holders(member: Member) -> set[int]:
    """Every process that has the volume's lock open."""
    lock = os.stat(member.place.volume / ".matriarch.lock")
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and any(
                (status := os.stat(fd)).st_ino == lock.st_ino and status.st_dev == lock.st_dev
                for fd in (entry / "fd").iterdir()
            ):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


async def agent_pid(member: Member, other_than: int = 0) -> int:
    async with asyncio.timeout(10):
        while True:
            started = [line["pid"] for line in member.init_log() if line["event"] == "agent started"]
            if started and started[-1] != other_than:
                return int(started[-1])
            await asyncio.sleep(0.02)


async def family_of(member: Member) -> set[int]:
    """Start the family and wait until all of it is there."""
    await member.init.start(FAMILY, PATH)
    others = {member.process.pid, await agent_pid(member)}
    await eventually(lambda: len(holders(member) - others) == 6)
    return holders(member) - others


async def gone(member: Member, within: float) -> float:
    """How long until init says that nothing is left."""
    began = time.perf_counter()
    async with asyncio.timeout(within):
        while (await member.init.status()).alive:
            await member.init.wait_for_change(member.init.changes)
    return time.perf_counter() - began


async def test_kill_reaches_every_process(members: Members) -> None:
    member = await members.make("demo-0")
    family = await family_of(member)
    await member.init.kill()
    assert not [pid for pid in family if alive(pid)]
    assert (await member.init.status()).exit_status == -signal.SIGKILL


async def test_what_a_dead_postmaster_leaves_behind_is_swept(members: Members) -> None:
    member = await members.make("demo-0")
    family = await family_of(member)
    pid = (await member.init.status()).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await gone(member, 5)
    assert not [pid for pid in family if alive(pid)]


async def test_leash_kills_in_time_while_the_agent_is_stopped(members: Members) -> None:
    member = await members.make("demo-0")
    family = await family_of(member)
    agent = await agent_pid(member)
    os.kill(agent, signal.SIGSTOP)
    try:
        until = kernel.now() + 0.4
        await member.init.set_lease(until)
        while [pid for pid in family if alive(pid)]:
            assert kernel.now() < until + 2.0, "processes outlived the lease"
            await asyncio.sleep(0.002)
        late = kernel.now() - until
    finally:
        os.kill(agent, signal.SIGCONT)
    assert 0 <= late < 0.25, f"{late:.3f} s after the deadline"
    told = next(line for line in member.init_log() if line["event"] == "lease ended, Postgres killed")
    assert told["late_ms"] < 100


async def test_a_renewed_lease_does_not_kill(members: Members) -> None:
    member = await members.make("demo-0")
    await member.init.start(["sleep", "987"], PATH)
    # The renewal comes at once, so that nothing but init decides: a test that is late for it would end the lease.
    for renewed in (kernel.now() + 60.0, None):
        last = kernel.now() + 1.5
        await member.init.set_lease(last)
        await member.init.set_lease(renewed)
        await asyncio.sleep(max(0.0, last - kernel.now()) + 0.2)
        assert (await member.init.status()).alive


async def test_nothing_starts_after_the_lease(members: Members) -> None:
    member = await members.make("demo-0")
    await member.init.set_lease(kernel.now() - 1.0)
    with pytest.raises(PostgresError, match="lease has ended"):
        await member.init.start(["sleep", "987"], PATH)
    await member.init.set_lease(None)
    await member.init.start(["sleep", "987"], PATH)


async def test_a_second_postmaster_is_refused(members: Members) -> None:
    member = await members.make("demo-0")
    await member.init.start(["sleep", "987"], PATH)
    with pytest.raises(PostgresError, match="alive"):
        await member.init.start(["sleep", "987"], PATH)


async def test_no_signal_without_a_postmaster(members: Members) -> None:
    member = await members.make("demo-0")
    with pytest.raises(NotRunning):
        await member.init.signal("INT")


async def test_agent_is_restarted_and_postgres_left_alone(members: Members) -> None:
    member = await members.make("demo-0", ["sh", "-c", "sleep 987 & sleep 987"])
    pid = await member.init.start(["sleep", "987"], PATH)
    until = kernel.now() + 60
    await member.init.set_lease(until)
    first = await agent_pid(member)
    await eventually(lambda: bool(children_of(first)))
    children = children_of(first)
    os.kill(first, signal.SIGKILL)
    second = await agent_pid(member, other_than=first)
    status = await member.init.status()
    assert (status.pid, status.alive, status.lease) == (pid, True, until)
    assert alive(pid) and alive(second)
    assert not [child for child in children if alive(child)], "the dead agent's own programs have to go"


async def test_a_dying_agent_is_restarted_ever_more_slowly(members: Members) -> None:
    member = await members.make("demo-0", ["false"])
    await eventually(lambda: len(moments(member, "agent started")) >= 4)
    ends, starts = moments(member, "agent ended"), moments(member, "agent started")
    pauses = [(start - end).total_seconds() for end, start in zip(ends, starts[1:], strict=False)]
    for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=False):
        assert pause > least - 0.02, pauses


def moments(member: Member, event: str) -> list[datetime]:
    """When init said so."""
    return [datetime.fromisoformat(line["timestamp"]) for line in member.init_log() if line["event"] == event]


async def test_the_lock_keeps_a_second_init_waiting_while_postgres_lives(members: Members) -> None:
    member = await members.make("demo-0")
    survives = member.base / "survives"
    code = "import ctypes, sys, time; ctypes.CDLL(None).prctl(1, 0, 0, 0, 0); open(sys.argv[1], 'w'); time.sleep(987)"
    survivor = await member.init.start([sys.executable, "-c", code, str(survives)], {**os.environ})
    await eventually(survives.exists)
    member.process.kill()
    member.process.wait()
    await member.init.close()
    assert alive(survivor)
    member.start_init()
    await eventually(lambda: member.init_log()[-1]["event"] == "waiting for the volume's lock")
    os.kill(survivor, signal.SIGKILL)
    await member.ready()


async def test_events_arrive_within_milliseconds(members: Members) -> None:
    member = await members.make("demo-0")
    took = []
    for _ in range(5):
        pid = await member.init.start(["sleep", "987"], PATH)
        seen = member.init.changes
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        await member.init.wait_for_change(seen)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05, took


async def test_sigterm_goes_to_the_agent_and_then_init_ends(members: Members) -> None:
    begun, told, end = (members.base / name for name in ("begun", "told", "end"))
    ending = f"touch {told}; while ! test -e {end}; do sleep 0.02; done; exit 0"
    agent = f"trap '{ending}' TERM; touch {begun}; while :; do sleep 0.05; done"
    member = await members.make("demo-0", ["sh", "-c", agent])
    pid = await member.init.start(["sleep", "987"], PATH)
    await eventually(begun.exists)
    member.process.send_signal(signal.SIGTERM)
    await eventually(told.exists)
    await asyncio.sleep(0.15)
    assert member.process.poll() is None and alive(pid)
    end.touch()
    assert await asyncio.to_thread(member.process.wait, 15) == 0
    assert not alive(pid) and not holders(member)


async def test_nonsense_on_the_socket_harms_nobody(members: Members) -> None:
    member = await members.make("demo-0")
    for text in (
        b"nonsense\n",
        b"[1]\n",
        request(0, "lease", "x"),
        request(1, "start"),
        request(1, "start", "", "-1", "sleep"),
        request(1, "start", "", "2", "sleep"),
        b"10:0\0status,,",
        b"99999999:",
        b"\xff" * 70000,
    ):
        _, writer = await asyncio.open_unix_connection(member.place.init_socket)
        writer.write(text)
        writer.close()
    for words in (("lease", "True"), ("lease", "nan"), ("start", "", "1", "no such program"), ("signal", "X"), ("?",)):
        with pytest.raises(PostgresError):
            await member.init._ask(*words)
    assert not (await member.init.status()).alive


async def test_init_is_small(members: Members) -> None:
    member = await members.make("demo-0")
    assert resident_kb(member.process.pid) < 20_000


async def test_a_container_counts_as_untouched_until_a_postmaster_has_run(members: Members) -> None:
    """In a pause what a person stopped stays down; what never ran since the container started is not of that kind."""
    member = await members.make("demo-0")
    assert await member.init.untouched()
    await member.init.start(["sleep", "987"], PATH)
    assert not await member.init.untouched()
    await member.init.kill()
    assert not await member.init.untouched()
