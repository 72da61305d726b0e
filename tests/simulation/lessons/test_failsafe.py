"""Failsafe mode: the primary goes on without the API server, and nobody pays for it afterwards."""

from __future__ import annotations

import asyncio

import pytest

from simulation.lessons.telling import epoch, holds_for, primary_of, replicas_of
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World


def all_dark(world: World, dark: bool) -> None:
    for member in world.members:
        world.api_dark(member.name, dark)


def test_a_claim_that_was_accepted_does_not_haunt_the_one_who_is_promoted_next() -> None:
    """A replica agreed that the primary goes on; then it is promoted itself. When the claim ran out, the new primary of
    another system demoted itself."""

    async def story(world: World, primary: Member) -> None:
        all_dark(world, True)
        await asyncio.sleep(12.0)
        all_dark(world, False)
        await asyncio.sleep(3.0)
        candidate = replicas_of(world)[0]
        world.administrator.ask(primary.name, candidate.name)
        await until(lambda: candidate.server.writable, 30.0)
        before = epoch(world)
        await holds_for(25.0, lambda: candidate.server.writable)
        assert epoch(world) == before

    tell(story, a_plan())


def test_a_member_that_comes_and_goes_does_not_end_an_outage_of_the_api_server_badly() -> None:
    """All members have to agree; one that restarts for less than a lease in the middle of it is asked again."""

    async def story(world: World, primary: Member) -> None:
        before = epoch(world)
        all_dark(world, True)
        await asyncio.sleep(12.0)
        world.spawn(replicas_of(world)[0].restart_container("killed", 1.0))
        await holds_for(20.0, lambda: primary.server.writable)
        world.spawn(replicas_of(world)[1].restart_agent(2.0))
        await holds_for(20.0, lambda: primary.server.writable)
        all_dark(world, False)
        await asyncio.sleep(5.0)
        assert epoch(world) == before

    tell(story, a_plan())


@pytest.mark.parametrize("mode", [True, False], ids=["synchronous", "asynchronous"])
def test_a_full_restart_with_new_addresses_ends_with_a_leader(mode: bool) -> None:
    """The lock tells the addresses of before, of which not one exists any more; with the API server away at first, and
    with it there all the time."""

    async def story(world: World, primary: Member) -> None:
        del primary
        for with_api in (True, False):
            if not with_api:
                all_dark(world, True)
            for member in world.members:
                world.spawn(member.replace_pod(graceful=False))
            await asyncio.sleep(20.0)
            if not with_api:
                assert not any(member.server.writable for member in world.members)
                all_dark(world, False)
            await until(lambda: any(member.server.writable for member in world.members), 60.0)
            await world.whole(60.0)

    tell(story, a_plan(synchronous_mode=mode))


def test_a_primary_that_one_member_does_not_hear_gives_up_before_anybody_may_follow_it() -> None:
    """Not all agree: the lease runs out and the leash kills, without the API server and without a successor."""

    async def story(world: World, primary: Member) -> None:
        deaf = replicas_of(world)[0]
        all_dark(world, True)
        world.network.darken(deaf.name)
        await until(lambda: not primary.server.writable, 15.0)
        await holds_for(10.0, lambda: not any(member.server.writable for member in world.members))
        world.network.lighten(deaf.name)
        all_dark(world, False)
        await until(lambda: any(member.server.writable for member in world.members), 30.0)

    tell(story, a_plan())


def test_without_failsafe_mode_an_outage_ends_writes_and_the_return_brings_them_back() -> None:
    async def story(world: World, primary: Member) -> None:
        all_dark(world, True)
        await until(lambda: not primary.server.writable, 15.0)
        await asyncio.sleep(20.0)
        all_dark(world, False)
        await until(lambda: any(member.server.writable for member in world.members), 30.0)
        assert primary_of(world) is not None

    tell(story, a_plan(failsafe_mode=False))
