"""Volumes without room for more WAL."""

from __future__ import annotations

import asyncio

import pytest

from matriarch.testing.virtual_time import run
from simulation.member import Member
from simulation.test_scenarios import ASYNC, a_plan, outage
from simulation.test_stories import tell, until
from simulation.world import World


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_who_has_room_takes_over_from_who_has_none(settings: dict[str, bool]) -> None:
    async def deed(world: World, primary: Member) -> None:
        primary.volume.full = True
        await asyncio.sleep(15.0)
        assert world.truth.holder not in (None, primary.name), "\n".join(world.trace.lines(60))
        primary.volume.full = False

    gap = outage(deed, a_plan(**settings), after_s=30.0)
    print(f"outage: {gap:.2f} s")
    assert gap <= 5.0


def test_nothing_goes_round_between_full_disks() -> None:
    """Everybody's disk is full: the lock stays where it is, and starts are tried now and then, not all the time."""

    async def story(world: World, primary: Member) -> None:
        epoch, starts = world.truth.lock.epoch if world.truth.lock else 0, primary.server.news.transitions
        for member in world.members:
            member.volume.full = True
        await asyncio.sleep(60.0)
        assert world.truth.holder == primary.name, "\n".join(world.trace.lines(60))
        assert world.truth.lock is not None and world.truth.lock.epoch == epoch
        assert primary.server.news.transitions - starts <= 2 * 60 / 10 + 4
        for member in world.members:
            member.volume.full = False

    tell(story, a_plan())


def test_a_standby_clusters_leader_without_room_gives_way_and_comes_back_as_a_replica() -> None:
    def leader_of(world: World) -> Member:
        return next(member for member in world.members if member.name == world.truth.holder)

    async def live() -> None:
        plan = a_plan()
        plan.standby, plan.clients = True, 0
        world = World(1, plan)
        world.start()
        await world.whole(60.0)
        former = leader_of(world)
        former.volume.full = True
        await until(lambda: world.truth.holder not in (None, former.name), 10.0)
        heir = leader_of(world)
        await until(lambda: world.remote.server.links.get(heir.name) is not None, 10.0)
        for member in world.members:
            member.volume.full = True
        await asyncio.sleep(40.0)
        assert leader_of(world) is heir, "\n".join(world.trace.lines(60))
        for member in world.members:
            member.volume.full = False
        await world.whole(60.0)
        assert world.found is None, "\n".join(world.trace.lines(60))

    run(live())
