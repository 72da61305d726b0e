"""Pause over time: what a person asked for is carried out to its end, and what broke by itself mends itself."""

from __future__ import annotations

import asyncio

from simulation.lessons.telling import epoch, holds_for, primary_of, replicas_of, streams, told
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World


async def pause(world: World, on: bool) -> None:
    await world.administrator.set_settings({"pause": on})
    await asyncio.sleep(1.0)


def test_a_switchover_in_a_pause_leaves_no_member_down() -> None:
    """The former leader was stopped by the switchover, not by a person, so it follows its successor at once."""

    async def story(world: World, primary: Member) -> None:
        await pause(world, True)
        candidate = replicas_of(world)[0]
        world.administrator.ask(primary.name, candidate.name)
        await until(lambda: candidate.server.writable, 20.0)
        await until(lambda: streams(primary), 20.0)
        await pause(world, False)

    tell(story, a_plan())
    tell(story, a_plan(synchronous_mode=False))


def test_a_primary_that_was_fenced_in_a_pause_is_back_with_the_api_server() -> None:
    """Without failsafe mode the lease ends and the leash kills. The lock still names the member, nobody else may take
    it in a pause, and a person need not come to start what no person stopped."""

    async def story(world: World, primary: Member) -> None:
        await pause(world, True)
        for member in world.members:
            world.api_dark(member.name, True)
        await until(lambda: primary.server.process == "stopped", 20.0)
        await asyncio.sleep(5.0)
        for member in world.members:
            world.api_dark(member.name, False)
        await until(lambda: primary.server.writable, 20.0)
        await pause(world, False)

    tell(story, a_plan(failsafe_mode=False))


def test_a_leader_whose_pod_is_deleted_in_a_pause_comes_back_as_the_leader() -> None:
    """Nobody may succeed it, so it hands over to nobody: it keeps the lock, and starts again with its new pod."""

    async def story(world: World, primary: Member) -> None:
        await pause(world, True)
        before = epoch(world)
        await primary.replace_pod(graceful=True)
        await until(lambda: primary.server.writable, 40.0)
        assert epoch(world) == before
        await pause(world, False)

    tell(story, a_plan())


def test_what_stopped_without_our_doing_stays_down_until_the_pause_ends() -> None:
    """A person at work on the server stops it, or it crashes under their hands: nothing is started and nobody is
    promoted behind their back."""

    async def story(world: World, primary: Member) -> None:
        await pause(world, True)
        replica = replicas_of(world)[0]
        replica.server.die("stopped by a person")
        await holds_for(20.0, lambda: replica.server.process == "stopped" and primary.server.writable)
        primary.server.die("stopped by a person")
        await holds_for(20.0, lambda: not any(member.server.writable for member in world.members))
        await pause(world, False)

    tell(story, a_plan())


def test_a_copy_asked_for_in_a_pause_ends_with_a_running_member() -> None:
    async def story(world: World, primary: Member) -> None:
        await pause(world, True)
        replica = replicas_of(world)[0]
        assert replica.agent is not None
        replica.agent.remember(reinitialize=True)
        replica.agent.wake()
        await until(lambda: bool(told(world, f"clone of {primary.name}")), 20.0)
        await until(lambda: streams(replica), 20.0)
        await pause(world, False)

    tell(story, a_plan())


def test_there_are_never_two_primaries_in_a_pause() -> None:
    """The checkers of rules 1 and 2 look on while a paused primary is cut off from everybody for longer than the TTL
    and a person asks for a failover to another member."""

    async def story(world: World, primary: Member) -> None:
        await pause(world, True)
        candidate = replicas_of(world)[0]
        world.network.darken(primary.name)
        world.api_dark(primary.name, True)
        await asyncio.sleep(12.0)
        world.administrator.ask(None, candidate.name)
        await until(lambda: candidate.server.writable, 20.0)
        world.network.lighten(primary.name)
        world.api_dark(primary.name, False)
        await asyncio.sleep(5.0)
        assert primary_of(world) is candidate
        await pause(world, False)

    tell(story, a_plan(synchronous_mode=False))
