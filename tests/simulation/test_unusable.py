"""Postgres runs and nobody can use it: found out within a bounded time, and replaced or started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from matriarch.testing.fake_postgres import FakePostgres
from simulation.member import Member
from simulation.test_scenarios import ASYNC, Deed, a_plan, outage
from simulation.test_stories import tell, until
from simulation.world import World

Fault = Callable[[Member], None]
FOUND_OUT_S = 6.0 + 1.0
"""Two thirds of the TTL, and one look."""


def hang(member: Member) -> None:
    member.server.freeze(True)


def deafen(member: Member) -> None:
    member.server.deafen(True)


def struck(fault: Fault, *, stays: bool) -> Deed:
    async def deed(world: World, primary: Member) -> None:
        fault(primary)
        await asyncio.sleep(15.0)
        assert (world.truth.holder == primary.name) is stays, "\n".join(world.trace.lines(60))

    return deed


@pytest.mark.parametrize(
    ("deed", "settings", "limit_s"),
    [
        (struck(hang, stays=False), {}, FOUND_OUT_S + 3.5),
        (struck(deafen, stays=False), {}, FOUND_OUT_S + 2.5),
        (struck(hang, stays=True), ASYNC, FOUND_OUT_S + 5.0),
        (struck(deafen, stays=True), ASYNC, FOUND_OUT_S + 4.0),
    ],
    ids=["hangs", "takes no sessions", "hangs, asynchronous", "takes no sessions, asynchronous"],
)
def test_outage(deed: Deed, settings: dict[str, Any], limit_s: float) -> None:
    gap = outage(deed, a_plan(**settings), after_s=10.0)
    print(f"outage: {gap:.2f} s")
    assert gap <= limit_s


def test_what_a_restart_does_not_cure_is_handed_over() -> None:
    async def story(world: World, primary: Member) -> None:
        life = primary.server.life
        deafen(primary)
        await until(lambda: primary.server.life > life and primary.server.writable, 20.0)
        assert world.truth.holder == primary.name
        await asyncio.sleep(2.0)
        deafen(primary)
        await until(lambda: world.truth.holder not in (None, primary.name), 20.0)

    tell(story, a_plan(**ASYNC))


def test_a_replica_that_hangs_starts_again() -> None:
    async def story(world: World, primary: Member) -> None:
        replica = next(member for member in world.members if member is not primary)
        life = replica.server.life
        hang(replica)
        await until(lambda: replica.server.life > life and replica.server.process == "running", 20.0)

    tell(story, a_plan())


def test_paused_nothing_is_killed() -> None:
    async def story(world: World, primary: Member) -> None:
        await world.administrator.set_settings({"pause": True})
        await asyncio.sleep(1.0)
        life = primary.server.life
        deafen(primary)
        await asyncio.sleep(30.0)
        assert primary.server.life == life
        await world.administrator.set_settings({"pause": False})

    tell(story, a_plan())


@pytest.mark.parametrize("settings", [{}, ASYNC], ids=["synchronous", "asynchronous"])
def test_a_shutdown_whose_agent_was_killed_does_not_last_for_ever(settings: dict[str, bool]) -> None:
    """The next agent finds a server that is shutting down, and holds its lock and lease."""

    async def story(world: World, primary: Member) -> None:
        target = next(member for member in world.members if member is not primary)
        world.administrator.ask(primary.name, target.name)
        await until(lambda: primary.server.process == "stopping")
        hang(primary)
        await primary.restart_agent(0.2)
        await until(lambda: primary.server.process != "stopping", 30.0)
        await until(lambda: any(member.server.writable for member in world.members), 30.0)

    tell(story, a_plan(**settings))


def test_paused_a_shutdown_is_left_to_who_began_it() -> None:
    async def story(world: World, primary: Member) -> None:
        await world.administrator.set_settings({"pause": True})
        await asyncio.sleep(1.0)
        stop = world.spawn(FakePostgres(primary.server).stop(fast=True, within=1000.0))
        hang(primary)
        await asyncio.sleep(60.0)
        assert primary.server.process == "stopping" and not stop.done()
        await world.administrator.set_settings({"pause": False})
        await until(stop.done, 30.0)

    tell(story, a_plan())
