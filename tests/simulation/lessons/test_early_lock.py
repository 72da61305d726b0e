"""A lock that was taken early, and whose taker goes no further (core/matriarch/ha/rules/early_take.py)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from unittest import mock

import pytest

from matriarch.ha import decide
from simulation.ambush import Ambush
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import doing, tell, until
from simulation.world import World


def test_a_lock_that_was_taken_early_is_not_free_before_the_former_leaders_lease_is_over() -> None:
    """Two of three voters have to acknowledge. One of them, which alone has the last commits, takes the silent leader's
    lock with the promise of a second; a person pauses the cluster, so it goes no further. Were the lock free now, the
    second could take it on the word of the third, which hears the leader again before that promotion: what the first
    and the third have is acknowledged then, and the second lacks it (rule 3)."""

    async def story(world: World, primary: Member) -> None:
        first, second, third = (member for member in world.members if member is not primary)
        for member in (second, third):
            member.server.hazards = replace(world.plan.hazards, fsync=(0.8, 0.8))
        await asyncio.sleep(1.7)
        apart = [(primary.name, m.name) for m in (first, second, third)]
        world.rifts.tear(apart + [(b, a) for a, b in apart], 60.0)
        world.api_dark(primary.name, True)
        for member in (second, third):
            member.server.hazards = world.plan.hazards
        await asyncio.sleep(1.0)
        await third.restart_agent(0.2)  # silence counts anew for it: it promises nothing
        assert world.ambusher is not None
        world.ambusher.arm(1)
        await until(lambda: world.truth.holder == first.name)
        lacks = second.server.disk.flushed < first.server.disk.flushed > third.server.disk.flushed
        assert lacks, "else the story tells nothing"
        third.gate.drag = lambda: 0.15  # it answers, and is too slow to be the one who wins
        await asyncio.sleep(0.1)
        first.gate.stop()
        async with asyncio.timeout(60.0):
            while not any(doing(member) == "Promote" for member in world.members):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        world.rifts.heal(primary.name, third.name)
        await asyncio.sleep(10.0)
        third.gate.drag = None
        first.gate.go_on()
        world.api_dark(primary.name, False)
        for member in (first, second):
            world.rifts.heal(primary.name, member.name)

    plan = a_plan(synchronous_mode="quorum", synchronous_node_count=2, ttl=30, loop_wait=10, retry_timeout=10)
    plan.settings["failsafe_mode"] = False
    plan.members, plan.sticky, plan.client_pause = 4, 4, (0.02, 0.1)
    plan.ambushes = (Ambush("take", True, "paused", "actor", 1.0, 0.3),)
    tell(story, plan)


def test_the_story_of_the_early_lock_is_noticed_when_it_is_released_at_once() -> None:
    with (
        mock.patch.object(decide, "when_safe", lambda view, decision: decision),
        pytest.raises(AssertionError, match=r"VIOLATION of rule [13]"),
    ):
        test_a_lock_that_was_taken_early_is_not_free_before_the_former_leaders_lease_is_over()
