"""Postgres runs and nobody can use it: found out within a bounded time, and replaced or started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

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
