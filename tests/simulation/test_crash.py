"""A primary's Postgres dies and its agent lives: whichever is quicker is done, as long as it loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from simulation.member import Member
from simulation.plan import Plan
from simulation.test_scenarios import ASYNC, Deed, a_plan, outage
from simulation.test_stories import until
from simulation.world import World

MB = 1024 * 1024


def crash(wal: int, *, stays: bool) -> Deed:
    """Write `wal` bytes since the last checkpoint, then kill Postgres. `stays`: the same member goes on as primary."""

    async def deed(world: World, primary: Member) -> None:
        primary.server.insert(wal)
        standbys = [member.server for member in world.members if member is not primary]
        end = primary.server.disk.flushed
        await until(lambda: all(server.disk.flushed >= end for server in standbys))
        await asyncio.sleep(4.0)
        world.measure()
        # Whatever checkpoints there were meanwhile: the last one that counts is `wal` bytes back.
        primary.server.disk.checkpoint = primary.server.disk.flushed - wal
        primary.server.die("killed")
        await asyncio.sleep(25.0)
        assert (world.truth.holder == primary.name) is stays, "\n".join(world.trace.lines(60))

    return deed


def slow(plan: Plan) -> None:
    """A crash recovery that nobody could foresee."""
    plan.hazards.crash_recovery = (20.0, 20.0)


def as_usual(plan: Plan) -> None:
    del plan


CASES: list[tuple[str, Deed, dict[str, Any], Callable[[Plan], None], float]] = [
    ("little to replay: in place", crash(MB, stays=True), {}, as_usual, 2.0),
    ("much to replay: handed over", crash(1000 * MB, stays=False), {}, as_usual, 2.5),
    ("much to replay, asynchronous: in place", crash(1000 * MB, stays=True), ASYNC, as_usual, 19.0),
    (
        "more to replay than primary_start_timeout allows, asynchronous: handed over",
        crash(1000 * MB, stays=False),
        {**ASYNC, "primary_start_timeout": 10},
        as_usual,
        3.0,
    ),
    ("primary_start_timeout 0: handed over", crash(0, stays=False), {"primary_start_timeout": 0}, as_usual, 2.5),
    (
        "primary_start_timeout 0, asynchronous: handed over",
        crash(0, stays=False),
        {**ASYNC, "primary_start_timeout": 0},
        as_usual,
        3.0,
    ),
    ("a recovery that takes longer than foreseen: given up", crash(MB, stays=False), {}, slow, 7.0),
    (
        "the same, asynchronous: given up after primary_start_timeout",
        crash(MB, stays=False),
        {**ASYNC, "primary_start_timeout": 8},
        slow,
        11.0,
    ),
    ("alone: in place, however long it takes", crash(1000 * MB, stays=True), {"members": 1}, as_usual, 19.0),
]


@pytest.mark.parametrize(
    ("deed", "settings", "adjust", "limit_s"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_crash(deed: Deed, settings: dict[str, Any], adjust: Callable[[Plan], None], limit_s: float) -> None:
    settings = dict(settings)
    members = settings.pop("members", 3)
    plan = a_plan(**settings)
    plan.members = members
    adjust(plan)
    gap = outage(deed, plan, after_s=5.0)
    print(f"outage: {gap:.2f} s")
    assert gap <= limit_s
