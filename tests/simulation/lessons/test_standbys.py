"""Synchronous standbys that go: how long commits wait for somebody who will not answer any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from matriarch.ha.tags import Tags
from simulation.lessons.telling import brisk, epoch, new_primary, replicas_of, streams, sync_standby_of, told
from simulation.member import Member
from simulation.plan import Plan
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World

Deed = Callable[[World, Member], None]
SEEDS = (2, 4)


def ask_restart(member: Member) -> None:
    assert member.agent is not None
    member.agent.remember(restart=True)
    member.agent.wake()


def delete(world: World, standby: Member) -> None:
    world.spawn(standby.replace_pod(graceful=True))


def restart(world: World, standby: Member) -> None:
    del world
    ask_restart(standby)


def copy_anew(world: World, standby: Member) -> None:
    assert standby.agent is not None
    standby.agent.remember(reinitialize=True)
    standby.agent.wake()


def kill(world: World, standby: Member) -> None:
    world.spawn(standby.restart_container("killed", 3.0))


def stall_after(deed: Deed, plan: Plan, seed: int) -> float:
    """The longest time without any acknowledged commit after something happened to the synchronous standby."""
    stalls: list[float] = []

    async def story(world: World, primary: Member) -> None:
        del primary
        brisk(world)
        # Not in step with the primary's looks.
        await asyncio.sleep(2.0 + seed * 0.17)
        world.measure()
        deed(world, sync_standby_of(world))
        await asyncio.sleep(8.0)
        stalls.append(world.outage_s())

    plan.clients = 10
    tell(story, plan, seed)
    return stalls[0]


@pytest.mark.parametrize(("deed", "members"), [(delete, 3), (delete, 2), (restart, 3), (copy_anew, 3)])
def test_commits_do_not_wait_for_a_synchronous_standby_that_stops_in_order(deed: Deed, members: int) -> None:
    """A standby that is restarted, copied anew or deleted with its pod leaves commits hanging until the primary looks
    again, unless it says beforehand that it goes: 0.3 s in the mean and 0.6 s at worst before it did."""
    plan = a_plan()
    plan.members = members
    assert max(stall_after(deed, plan, seed) for seed in SEEDS) < 0.15


@pytest.mark.parametrize("count", [1, 2])
def test_a_synchronous_standby_that_dies_is_given_up_soon(count: int) -> None:
    """While a lost standby is still named, every commit waits for it."""
    assert max(stall_after(kill, a_plan(synchronous_node_count=count), seed) for seed in SEEDS) < 0.8


def test_a_standby_that_strict_mode_does_not_let_go_stops_soon_all_the_same() -> None:
    """Strict, and nobody else is there: its primary goes on naming it, and the pod must not wait for that for ever."""

    async def story(world: World, primary: Member) -> None:
        standby = sync_standby_of(world)
        world.spawn(standby.replace_pod(graceful=True))
        await until(lambda: standby.server.process == "stopped", 4.0)
        assert not primary.server.can_acknowledge()

    plan = a_plan(synchronous_mode_strict=True)
    plan.members = 2
    tell(story, plan)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_standby_that_may_never_lead_does_not_stand_in_the_way_of_a_failover(seed: int) -> None:
    """Were the member with the tag nofailover the only synchronous one, nobody could ever succeed the primary."""

    async def story(world: World, primary: Member) -> None:
        await asyncio.sleep(5.0)
        before = epoch(world)
        world.network.darken(primary.name)
        world.api_dark(primary.name, True)
        successor = await new_primary(world, primary, 15.0)
        assert not successor.tags.nofailover
        assert epoch(world) == before + 1
        world.network.lighten(primary.name)
        world.api_dark(primary.name, False)

    plan = a_plan(**_tagged())
    plan.tags = {2: Tags(nofailover=True)}
    tell(story, plan, seed)


def _tagged() -> dict[str, Any]:
    return {"member_tags": {"demo-2": {"nofailover": True}}}


def test_a_copy_that_was_asked_for_is_not_made_of_who_has_led_since() -> None:
    """The request outlived the time as leader, and hours later replaced the data as soon as the member followed."""

    async def story(world: World, primary: Member) -> None:
        assert primary.agent is not None
        copy_anew(world, primary)
        await asyncio.sleep(2.0)
        assert not primary.agent.memory.reinitialize
        candidate = replicas_of(world)[0]
        world.administrator.ask(primary.name, candidate.name)
        await until(lambda: candidate.server.writable, 20.0)
        await until(lambda: streams(primary), 20.0)
        await asyncio.sleep(5.0)
        assert not told(world, f"clone of {candidate.name}")

    tell(story, a_plan())
