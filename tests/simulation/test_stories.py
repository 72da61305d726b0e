"""Sequences of events that once broke a rule, step by step: a seed that found one changes its story with the code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from unittest import mock

import pytest

from matriarch.ha.actions import WriteSync
from matriarch.testing.virtual_time import run
from matriarch.words.names import slot_name
from matriarch_agent import execute
from matriarch_agent.agent import Agent
from simulation.member import Member
from simulation.plan import Plan
from simulation.test_scenarios import a_plan
from simulation.world import World

FEED = "feed"
Story = Callable[[World, Member], Awaitable[None]]


def tell(story: Story, plan: Plan, seed: int = 1) -> World:
    """Let a cluster form and the story happen; every checker looks on, and the cluster must be whole again."""

    async def live() -> World:
        world = World(seed, plan)
        world.start()
        await world.whole(60.0)
        await asyncio.sleep(3.0)
        primary = next(member for member in world.members if member.server.writable)
        await story(world, primary)
        await world.whole(90.0)
        assert world.found is None, "\n".join(world.trace.lines(60))
        return world

    return run(live())


async def until(happened: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def doing(member: Member) -> str:
    agent = member.agent
    activity = agent.view.activity if agent is not None and agent.view is not None else None
    return activity.name if activity is not None else ""


def test_a_promotion_that_nobody_waits_for_is_not_let_off_the_leash() -> None:
    """Postgres goes on promoting when the agent that asked for it dies. The next agent finds a server in recovery and
    the cluster paused, and gives the lock up: it must not leave that server running (rule 2)."""

    async def story(world: World, primary: Member) -> None:
        world.spawn(primary.restart_container("killed", 40.0))
        promoting: list[Member] = []

        def somebody_promotes() -> bool:
            promoting[:] = [member for member in world.members if doing(member) == "Promote"]
            return bool(promoting)

        await until(somebody_promotes)
        world.spawn(promoting[0].restart_agent(0.1))
        await world.administrator.set_settings({"pause": True})
        await asyncio.sleep(30.0)
        await world.administrator.set_settings({"pause": False})
        await asyncio.sleep(15.0)

    plan = a_plan(synchronous_mode=False)
    plan.hazards.promote = (4.0, 4.0)
    tell(story, plan)


def test_a_switchover_asked_of_a_fresh_primary_does_not_go_round_in_circles() -> None:
    """The replicas have no slots on it yet, so nobody can take over; it must not stop and start for ever."""

    async def story(world: World, primary: Member) -> None:
        target = next(member for member in world.members if member is not primary)
        world.administrator.ask(primary.name, target.name)
        await until(lambda: world.truth.holder == target.name)
        world.administrator.ask(target.name, None)
        await asyncio.sleep(20.0)

    for mode in (True, False):
        tell(story, a_plan(synchronous_mode=mode))


def test_a_late_write_of_the_sync_object_promises_nothing_that_is_not_kept() -> None:
    """The primary lists a standby, gets no answer, loses that standby and its API server: the write arrives after all.
    Commits must go on waiting until the primary knows what the object says (rule 3)."""

    async def story(world: World, primary: Member) -> None:
        road = world.kube.faults_for(primary.name)
        replicas = [member for member in world.members if member is not primary]
        for member in replicas:
            member.server.die("killed")
        await until(lambda: not world.truth.sync.standbys)
        road.late = 1.0
        await until(lambda: any(primary.server.links.get(m.name) is not None for m in replicas))
        world.api_dark(primary.name, True)
        # Not longer, or the next attempt comes while the server answers, and finds out what the first one did.
        await asyncio.sleep(3.0)
        world.network.darken(primary.name)
        await asyncio.sleep(0.3)
        road.silent_watch = True
        world.api_dark(primary.name, False)
        await until(lambda: bool(world.truth.sync.standbys))
        world.api_dark(primary.name, True)
        await asyncio.sleep(25.0)
        world.network.lighten(primary.name)
        world.api_dark(primary.name, False)
        road.late, road.silent_watch = 0.0, False

    plan = a_plan(ttl=30, loop_wait=10, retry_timeout=10)
    plan.hazards.crash_recovery = (0.1, 3.0)
    plan.sticky = 3
    tell(story, plan)


@pytest.mark.parametrize("mode", [True, "quorum"], ids=["priority", "quorum"])
def test_a_primary_that_cannot_stop_in_order_is_replaced_all_the_same(mode: bool | str) -> None:
    """Checkpoint and fast shutdown are tried in vain while writes are down. In synchronous mode a listed standby has
    everything that was acknowledged, so the lock goes to it and is not kept for another try."""

    async def story(world: World, primary: Member) -> None:
        target = world.truth.sync.standbys[0]
        began = asyncio.get_running_loop().time()
        world.administrator.ask(primary.name, target)
        await until(lambda: world.truth.holder == target)
        assert asyncio.get_running_loop().time() - began < 12.0
        await until(lambda: any(member.name == target and member.server.writable for member in world.members))

    plan = a_plan(primary_stop_timeout=2, synchronous_mode=mode)
    plan.hazards.shutdown_hangs = 1.0
    tell(story, plan)


def test_a_former_leader_finds_its_slot_on_the_new_one() -> None:
    """The slots of all members, its own included, are there before the failover and where it stood; and the WAL that it
    needs is kept."""

    async def story(world: World, primary: Member) -> None:
        await asyncio.sleep(8.0)
        slot = slot_name(primary.name)
        others = [member for member in world.members if member is not primary]
        await until(lambda: all(slot in member.server.disk.slots for member in others))
        stood = primary.server.disk.flushed
        world.spawn(primary.restart_container("killed", 25.0))
        await until(lambda: any(member.server.writable for member in others))
        successor = next(member for member in others if member.server.writable)
        assert successor.server.disk.slots[slot] <= stood
        await asyncio.sleep(15.0)
        assert successor.server.disk.slots[slot] <= stood, "nobody moved it on while its member was away"

    tell(story, a_plan())


def test_a_logical_slot_is_there_after_a_failover() -> None:
    """Where the standby had copied it, with its consumer's position; nobody makes it anew."""

    async def story(world: World, primary: Member) -> None:
        others = [member for member in world.members if member is not primary]
        await until(lambda: all(FEED in member.server.disk.logical for member in others))
        lsn = primary.server.disk.logical[FEED].lsn
        world.spawn(primary.restart_container("killed", 25.0))
        await until(lambda: any(member.server.writable for member in others))
        successor = next(member for member in others if member.server.writable)
        assert successor.server.disk.logical[FEED].lsn <= lsn
        await asyncio.sleep(40.0)
        assert primary.server.disk.logical[FEED].synced, "the former primary's own slot made room for a copy"

    tell(story, a_plan(slots={FEED: {"type": "logical", "database": "app", "plugin": "pgoutput"}}))


async def _sure_of_everything(agent: Agent, action: WriteSync) -> None:
    """A deliberate bug: a write without an answer counts as one that was never sent."""
    written = await agent.store.write_sync(action.leader, action.standbys, action.quorum, action.version)
    agent.remember(sync_written=written)


def test_the_story_of_the_late_write_is_noticed_when_its_guard_is_gone() -> None:
    with (
        mock.patch.object(execute, "_write_sync", _sure_of_everything),
        pytest.raises(AssertionError, match=r"VIOLATION of rule [13]"),
    ):
        test_a_late_write_of_the_sync_object_promises_nothing_that_is_not_kept()


def test_who_reads_the_lock_past_a_silent_watch_does_not_trust_old_settings_beside_it() -> None:
    """Synchronous mode is switched on while a replica's watch is silent. It then falls behind, and the primary and its
    synchronous standby are cut off: the replica reads the lock directly, finds it free, and must not lead (rule 3)."""

    async def story(world: World, primary: Member) -> None:
        replicas = [member for member in world.members if member is not primary]
        for member in replicas:
            world.kube.faults_for(member.name).silent_watch = True
        await world.administrator.set_settings({"synchronous_mode": True})
        await until(lambda: bool(world.truth.sync.standbys))
        listed = next(member for member in replicas if member.name in world.truth.sync.standbys)
        other = next(member for member in replicas if member is not listed)
        world.network.darken(other.name)
        await asyncio.sleep(1.5)
        world.network.darken(primary.name)
        world.api_dark(primary.name, True)
        world.network.darken(listed.name)
        world.api_dark(listed.name, True)
        world.network.lighten(other.name)
        await asyncio.sleep(20.0)
        assert world.truth.holder != other.name
        for member in (primary, listed):
            world.network.lighten(member.name)
            world.api_dark(member.name, False)
        for member in replicas:
            world.kube.faults_for(member.name).silent_watch = False

    plan = a_plan(synchronous_mode=False, failsafe_mode=False)
    plan.sticky = 1
    tell(story, plan)


def test_a_standby_that_sees_the_lock_late_does_not_ask_for_it_without_pause() -> None:
    """Its watch lags behind, and so does what it reads: it claims, and takes the lock on a version that is no more. Its
    own claim comes back to it meanwhile (rule 9)."""
    most = 30

    async def story(world: World, primary: Member) -> None:
        standby = next(member for member in world.members if member.name in world.truth.sync.standbys)
        road = world.kube.faults_for(standby.name)
        road.watch_lag, road.stale_s = (4.0, 4.0), 4.0
        await asyncio.sleep(8.0)
        renewed = world.truth.lock
        await until(lambda: world.truth.lock is not renewed)
        world.spawn(primary.restart_container("killed", 30.0))
        before = _requests(world, standby)
        await asyncio.sleep(3.5)
        assert world.truth.holder == primary.name, "it cannot see the last renewal yet"
        assert _requests(world, standby) - before < most
        await until(lambda: world.truth.holder == standby.name, within_s=2.0)
        road.watch_lag, road.stale_s = world.calm_api().watch_lag, 0.0

    tell(story, a_plan())


def _requests(world: World, member: Member) -> int:
    return sum(count for (identity, _, _), count in world.kube.calls.items() if identity == member.name)


def test_a_promise_outlives_the_agent_that_gave_it() -> None:
    """Two voters promise to hear no more of a silent primary. One counts on both, and its writes are slow; the other's
    agent starts anew, and the primary is back for that one only. It must not acknowledge anything with it (rule 3)."""

    async def story(world: World, primary: Member) -> None:
        world.api_dark(primary.name, True)
        world.network.darken(primary.name)
        await asyncio.sleep(1.0)
        replicas = [member for member in world.members if member is not primary]
        other, taker = sorted(replicas, key=lambda member: member.server.disk.flushed)
        world.kube.faults_for(other.name).latency = (2.8, 2.8)
        world.kube.faults_for(taker.name).latency = (1.4, 1.4)
        await until(lambda: _has_read_a_promise(taker, other))
        await asyncio.sleep(0.2)
        world.network.cut(primary.name, taker.name)
        world.network.cut(taker.name, primary.name)
        world.network.lighten(primary.name)
        world.kube.faults_for(other.name).latency = world.calm_api().latency
        await other.restart_agent(0.05)
        await until(lambda: world.truth.holder == taker.name)
        await asyncio.sleep(5.0)
        world.network.mend(primary.name, taker.name)
        world.network.mend(taker.name, primary.name)
        world.api_dark(primary.name, False)
        world.kube.faults_for(taker.name).latency = world.calm_api().latency

    plan = a_plan(synchronous_mode="quorum", ttl=30, loop_wait=10, retry_timeout=10, failsafe_mode=False)
    plan.sticky = 3
    tell(story, plan)


def _has_read_a_promise(reader: Member, other: Member) -> bool:
    poll = reader.agent.poll if reader.agent is not None else None
    answer = poll.of(other.name) if poll is not None else None
    view = reader.agent.view if reader.agent is not None else None
    promised = view is not None and view.promise_kept is not None
    return promised and answer is not None and answer.promised is not None


@pytest.mark.parametrize("third", ["is ahead", "is behind"])
def test_a_member_whose_rewinds_source_dies_before_it_came_up_gets_its_wal_from_the_next_leader(third: str) -> None:
    """pg_rewind leaves data that needs the source's WAL up to its end before a server can be used on it. With the
    source gone that WAL comes from whoever leads next; data that is past where that one parted is copied anew."""

    async def story(world: World, primary: Member) -> None:
        world.network.darken(primary.name)
        primary.server.insert(1000)
        primary.server.die("killed")
        world.spawn(primary.restart_container("power", 12.0))
        await until(lambda: any(member.server.writable for member in world.members))
        source = next(member for member in world.members if member.server.writable)
        other = next(member for member in world.members if member not in (primary, source))
        await until(lambda: other.server.intake.link is not None)
        world.network.lighten(primary.name)
        await until(lambda: doing(primary) == "Rewind")
        await asyncio.sleep(1.5)
        if third == "is behind":
            other.freeze(True)
        source.server.insert(40 * 1024 * 1024)
        await until(lambda: primary.server.process == "starting" and primary.server.disk.unproven)
        source.kill_container("killed")
        source.restarts_blocked = True
        if third == "is behind":
            other.freeze(False)
        await until(lambda: other.server.writable)
        await until(lambda: primary.server.process == "running" and primary.server.intake.link is not None)
        source.restarts_blocked = False
        source.start_container()

    plan = a_plan(synchronous_mode=False, maximum_lag_on_failover=10**12, postgresql={"use_pg_rewind": True})
    plan.hazards.rewind = (3.0, 3.0)
    world = tell(story, plan)
    copied = any("clone of" in line for line in world.trace.lines() if "demo" in line)
    assert copied or third == "is ahead"
