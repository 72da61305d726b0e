"""Losing the primary in every way that hurt somebody: who succeeds it, how often, and what becomes of the old one."""

from __future__ import annotations

import asyncio

import pytest

from simulation.lessons.telling import brisk, epoch, holds_for, new_primary, primary_of, replicas_of, streams, told
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World

ASYNC = {"synchronous_mode": False}


def cut_off(world: World, member: Member, cut: bool) -> None:
    (world.network.darken if cut else world.network.lighten)(member.name)
    world.api_dark(member.name, cut)


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_a_primary_that_was_frozen_does_not_take_a_free_lock_with_old_data(settings: dict[str, bool]) -> None:
    """It stands still for longer than the TTL, another one is promoted, writes, and dies: the lock is free when the
    first one wakes, and its own timeline is the older one."""

    async def story(world: World, primary: Member) -> None:
        primary.freeze(True)
        successor = await new_primary(world, primary, 30.0)
        await asyncio.sleep(6.0)
        world.spawn(successor.restart_container("killed", 25.0))
        await asyncio.sleep(0.2)
        primary.freeze(False)
        await holds_for(15.0, lambda: not primary.server.writable)

    tell(story, a_plan(**settings))


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_a_member_whose_watch_is_late_does_not_repeat_a_timeline(settings: dict[str, bool]) -> None:
    """It slept through a failover: what it knows of the settings, the history and the synchronous standbys is old, and
    the lock, which it reads past its watch, is free. A second timeline of the same number, parted at the same position,
    could never be told from the first."""

    async def story(world: World, primary: Member) -> None:
        sleeper, other = replicas_of(world)
        cut_off(world, sleeper, True)
        await asyncio.sleep(8.0)
        world.spawn(primary.restart_container("killed", 10.0))
        await until(lambda: other.server.writable, 30.0)
        await until(lambda: streams(primary), 60.0)
        world.kube.faults_for(sleeper.name).watch_lag = (200.0, 200.0)
        for member in (primary, other):
            cut_off(world, member, True)
        cut_off(world, sleeper, False)
        await holds_for(25.0, lambda: not sleeper.server.writable)
        for member in (primary, other):
            cut_off(world, member, False)
        world.kube.faults_for(sleeper.name).watch_lag = world.calm_api().watch_lag
        world.kube.drop_streams(sleeper.name)

    for seed in (1, 2, 3):
        tell(story, a_plan(**settings, maximum_lag_on_failover=10**12), seed)


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_one_fault_is_one_failover(settings: dict[str, bool]) -> None:
    """A lost node, and its return, change the leader once: not back again, and not twice in a row."""

    async def story(world: World, primary: Member) -> None:
        before = epoch(world)
        cut_off(world, primary, True)
        await new_primary(world, primary, 20.0)
        await asyncio.sleep(10.0)
        cut_off(world, primary, False)
        await until(lambda: streams(primary), 40.0)
        await asyncio.sleep(10.0)
        assert epoch(world) == before + 1

    tell(story, a_plan(**settings))


def test_a_blip_is_no_failover() -> None:
    """The primary is out of everybody's reach for a second, or its agent does not answer for three."""

    async def story(world: World, primary: Member) -> None:
        before = epoch(world)
        cut_off(world, primary, True)
        await asyncio.sleep(1.0)
        cut_off(world, primary, False)
        await asyncio.sleep(10.0)
        gate = primary.gate
        gate.stop()
        await asyncio.sleep(3.0)
        gate.go_on()
        await asyncio.sleep(10.0)
        assert epoch(world) == before
        assert primary_of(world) is primary

    tell(story, a_plan())
    tell(story, a_plan(**ASYNC))


def test_a_switchover_needs_no_rewind() -> None:
    """The lock goes over only after the candidate has the shutdown record; else the former primary has one that nobody
    else has."""

    async def story(world: World, primary: Member) -> None:
        brisk(world)
        for _ in range(3):
            leader = primary_of(world)
            candidate = replicas_of(world)[0]
            world.administrator.ask(leader.name, candidate.name)
            await until(lambda to=candidate: to.server.writable, 20.0)  # type: ignore[misc]
            await until(lambda of=leader: streams(of), 20.0)  # type: ignore[misc]
        assert not told(world, "rewind to")

    tell(story, a_plan())
    tell(story, a_plan(**ASYNC))


def test_a_primary_that_stops_without_a_successor_leaves_word_where_it_stopped() -> None:
    """No replica has its last record, so the lock is kept. Whoever waits for the end of it is measured by the last
    position, and not by one from some seconds before (rule 4)."""

    async def story(world: World, primary: Member) -> None:
        brisk(world)
        for member in replicas_of(world):
            world.network.darken(member.name)
        await asyncio.sleep(1.0)
        world.spawn(primary.replace_pod(graceful=True, away_s=3.0))
        await until(lambda: primary.server.process == "stopped", 25.0)
        await asyncio.sleep(1.5)
        assert world.truth.lock is not None
        assert world.truth.holder == primary.name
        assert primary.volume.data is not None
        assert world.truth.lock.optime == primary.volume.data.flushed
        for member in replicas_of(world):
            world.network.lighten(member.name)

    tell(story, a_plan(**ASYNC))


def test_the_service_leads_somewhere_at_any_time_of_a_switchover() -> None:
    """An empty Service makes clients fail at once, and a pooler remember the failure."""

    async def story(world: World, primary: Member) -> None:
        seen = len(world.truth.address_changes)
        world.administrator.ask(primary.name, None)
        await until(lambda: not primary.server.writable, 20.0)
        await until(lambda: any(member.server.writable for member in world.members), 20.0)
        changes = [address for _, address in world.truth.address_changes[seen:]]
        assert len(changes) == 1
        assert changes[0] == primary_of(world).ip

    tell(story, a_plan())


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
@pytest.mark.parametrize("members", [2, 3])
def test_a_primary_lost_with_its_volume_is_succeeded_and_becomes_a_replica(
    members: int, settings: dict[str, bool]
) -> None:
    """Pod and claim deleted together: any loss of the primary ends in a failover and a new copy. With two members the
    one that is left is enough."""

    async def story(world: World, primary: Member) -> None:
        await asyncio.sleep(3.0)
        world.spawn(primary.replace_pod(graceful=False, away_s=30.0))
        primary.lose_volume()
        await new_primary(world, primary, 25.0)

    plan = a_plan(**settings)
    plan.members = members
    tell(story, plan)


def test_of_two_members_either_may_be_lost() -> None:
    """Two is a number of its own: no majority, no third opinion."""

    async def story(world: World, primary: Member) -> None:
        for _ in range(2):
            old = primary_of(world)
            cut_off(world, old, True)
            await new_primary(world, old, 25.0)
            await asyncio.sleep(5.0)
            cut_off(world, old, False)
            await until(lambda of=old: streams(of), 40.0)  # type: ignore[misc]
            await world.whole(60.0)
        world.spawn(replicas_of(world)[0].replace_pod(graceful=True, away_s=20.0))
        await asyncio.sleep(2.0)
        await holds_for(15.0, lambda: any(member.server.writable for member in world.members))

    plan = a_plan()
    plan.members = 2
    tell(story, plan)


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_after_the_loss_of_all_pods_the_data_decides_who_leads(settings: dict[str, bool]) -> None:
    """All pods go at once and come back in any order, all with new addresses; one of the volumes cannot be read. No
    replica is made before there is a primary, and nobody waits for a leader for ever."""

    async def story(world: World, primary: Member) -> None:
        broken = replicas_of(world)[0]
        for member in world.members:
            away = 0.0 if member is broken else 15.0
            world.spawn(member.replace_pod(graceful=False, away_s=away))
        broken.volume.readable = False
        await asyncio.sleep(1.0)
        await until(lambda: any(member.server.writable for member in world.members), 60.0)
        broken.volume.readable = True

    tell(story, a_plan(**settings))


def test_a_former_leader_with_priority_does_not_delay_its_successor() -> None:
    """It has just handed over and does not want the lock back; those who yield to its priority would wait for a TTL."""

    async def story(world: World, primary: Member) -> None:
        await world.administrator.set_settings({"member_tags": {primary.name: {"failover_priority": 9}}})
        await asyncio.sleep(4.0)
        brisk(world)
        world.measure()
        world.administrator.ask(primary.name, None)
        await new_primary(world, primary, 20.0)
        assert world.outage_s() < 3.0

    tell(story, a_plan(**ASYNC))


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_an_old_volume_is_judged_like_any_other_data(settings: dict[str, bool]) -> None:
    """A member is scaled away, the cluster goes two timelines on, and the member comes back on the volume that it had.
    What it has of the first timeline may be more or less than others kept of it."""

    async def story(world: World, primary: Member) -> None:
        await asyncio.sleep(3.0)
        world.spawn(primary.replace_pod(graceful=False, away_s=60.0))
        for _ in range(2):
            leader = await new_primary(world, primary, 30.0)
            await asyncio.sleep(5.0)
            world.administrator.ask(leader.name, None)
            await until(lambda of=leader: not of.server.writable, 20.0)  # type: ignore[misc]
        await until(lambda: streams(primary), 90.0)

    tell(story, a_plan(**settings, member_slots_ttl=20))
