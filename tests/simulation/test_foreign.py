"""Volumes with another cluster's data, or with that of a cluster whose records are gone: rules 6 and 7."""

from __future__ import annotations

import asyncio

import pytest

from matriarch.testing.virtual_time import run
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World


def _becomes_foreign(world: World, primary: Member) -> Member:
    """A replica comes back on another cluster's volume."""
    member = next(member for member in world.members if member is not primary)
    member.kill_container("its volume is mixed up")
    world.plant_foreign(member)
    member.start_container()
    return member


def _leaves_its_data_alone(member: Member) -> bool:
    return member.agent is not None and member.agent.journal.counts.get("ForeignData", 0) > 0


def test_a_person_may_have_another_clusters_data_replaced() -> None:
    """It is left alone, and the agent tells people to ask for a new copy. Then that is made (rule 6)."""

    async def story(world: World, primary: Member) -> None:
        member = _becomes_foreign(world, primary)
        await until(lambda: _leaves_its_data_alone(member))
        await asyncio.sleep(10.0)
        assert member.volume.data is not None
        assert member.volume.data.sysid in world.foreign
        world.administrator.copy_anew(member)
        world.set_aside.remove(member)
        await until(lambda: member.volume.data is not None and member.volume.data.sysid not in world.foreign)
        assert member.asked_anew is None, "their word was good for one copy"

    tell(story, a_plan())


@pytest.mark.parametrize("asked", ["never", "before its agent died"])
def test_nobody_else_may_have_it_replaced(asked: str) -> None:
    """What the checker of rule 6 makes of an agent that takes itself to have been asked."""

    async def story(world: World, primary: Member) -> None:
        member = _becomes_foreign(world, primary)
        await until(lambda: _leaves_its_data_alone(member))
        if asked != "never":
            world.administrator.copy_anew(member)
        if asked == "before its agent died":
            member.end_agent()
            member.start_agent()
        assert member.agent is not None
        member.agent.remember(reinitialize=True)
        await asyncio.sleep(20.0)

    with pytest.raises(AssertionError, match="VIOLATION of rule 6"):
        tell(story, a_plan())


def test_nobody_initialises_while_the_member_that_has_data_is_away() -> None:
    """One volume holds a cluster whose records are gone, say restored ones; the other two are empty. Its member tells
    them of it, and is away before it could lead: they wait, and copy from it when it is back (rule 7)."""

    async def live() -> None:
        plan = a_plan()
        plan.foreign = True
        world = World(1, plan)
        member = world.members[-1]
        world.api_dark(member.name, True)
        world.start()
        await until(lambda: all(_knows_of_data(other, member) for other in world.members[:-1]))
        world.spawn(member.replace_pod(graceful=False, away_s=60.0))
        world.api_dark(member.name, False)
        await asyncio.sleep(60.0)
        assert world.truth.holder is None
        await world.whole(60.0)
        assert world.found is None, "\n".join(world.trace.lines(60))
        assert [other.volume.data and other.volume.data.sysid for other in world.members] == world.foreign * 3

    run(live())


def _knows_of_data(member: Member, other: Member) -> bool:
    return member.agent is not None and other.name in member.agent.memory.have_data
