"""The WAL archive: what a former primary had finished gets there, and nobody waits for an archive that is slow."""

from __future__ import annotations

import asyncio

import pytest

from matriarch.testing.fake_postgres_wal import SEGMENT, Branch
from simulation.member import Member
from simulation.plan import Plan
from simulation.test_scenarios import a_plan, outage
from simulation.test_stories import doing, tell, until
from simulation.world import World


def archiving(**settings: object) -> Plan:
    parameters = {"max_connections": 100, "archive_mode": "on", "archive_command": "true"}
    return a_plan(**{"postgresql": {"parameters": parameters}, "synchronous_mode": False, **settings})


async def cut_off_with_wal(world: World, primary: Member) -> set[tuple[Branch, int]]:
    """The primary writes segments that neither the archive nor anybody else gets, and dies with them. Returns them."""
    world.plan.hazards.archive_fails = 1.0
    world.network.darken(primary.name)
    primary.server.insert(3 * SEGMENT)
    alone = set(primary.server.disk.ready)
    assert len(alone) >= 3
    primary.server.die("killed")
    world.spawn(primary.restart_container("power", 15.0))
    await until(lambda: world.truth.holder not in (None, primary.name))
    await asyncio.sleep(3.0)
    world.network.lighten(primary.name)
    return alone


def test_what_a_former_primary_had_finished_is_archived_before_the_rewind() -> None:
    async def story(world: World, primary: Member) -> None:
        alone = await cut_off_with_wal(world, primary)
        world.plan.hazards.archive_fails = 0.0
        assert not world.site.archive & alone
        await world.whole(60.0)
        assert alone <= world.site.archive
        assert primary.server.in_recovery and not primary.server.disk.ready

    world = tell(story, archiving())
    assert any("rewind to" in line for line in world.trace.lines())


def test_an_archive_that_refuses_or_hangs_is_waited_for_only_so_long() -> None:
    async def story(world: World, primary: Member) -> None:
        await cut_off_with_wal(world, primary)
        world.plan.hazards.archive = (1e6, 1e6)
        await until(lambda: doing(primary) == "ArchiveWal")
        began = asyncio.get_running_loop().time()
        await until(lambda: primary.server.in_recovery is True, within_s=200.0)
        assert 100.0 < asyncio.get_running_loop().time() - began < 140.0
        assert primary.agent is not None and primary.agent.memory.archive_tried_at is None, "forgotten with the data"

    tell(story, archiving())


def test_nobody_waits_for_the_archive_when_the_next_leader_is_lost_too() -> None:
    """The former primary waits for its archive, and is all that is left: it goes on without."""

    async def story(world: World, primary: Member) -> None:
        await cut_off_with_wal(world, primary)
        world.plan.hazards.archive = (1e6, 1e6)
        await until(lambda: doing(primary) == "ArchiveWal")
        others = [member for member in world.members if member is not primary]
        for member in others:
            member.kill_container("killed")
            member.restarts_blocked = True
        await until(lambda: primary.server.in_recovery is True, within_s=20.0)
        world.plan.hazards.archive = (0.02, 0.3)
        for member in others:
            member.restarts_blocked = False
            member.start_container()

    tell(story, archiving())


@pytest.mark.parametrize("mode", [True, False], ids=["synchronous", "asynchronous"])
def test_a_switchover_does_not_wait_for_a_slow_archive(mode: bool) -> None:
    async def deed(world: World, primary: Member) -> None:
        world.plan.hazards.archive = (30.0, 30.0)
        primary.server.insert(SEGMENT)
        await asyncio.sleep(1.0)
        world.administrator.ask(primary.name, None)
        await until(lambda: world.truth.holder not in (None, primary.name))
        assert primary.server.process == "stopping", "its archiver still works"

    gap = outage(deed, archiving(synchronous_mode=mode))
    print(f"outage: {gap:.2f} s")
    assert gap <= 4.0
