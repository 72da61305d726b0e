"""Words for the stories: who is who, and what may not have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from simulation.member import Member
from simulation.test_stories import until
from simulation.world import World


def primary_of(world: World) -> Member:
    """The one member that accepts writes."""
    return next(member for member in world.members if member.server.writable)


def replicas_of(world: World) -> list[Member]:
    """All others."""
    return [member for member in world.members if not member.server.writable]


def sync_standby_of(world: World) -> Member:
    """A member that commits wait for."""
    return next(member for member in world.members if member.name in world.truth.sync.standbys)


def streams(member: Member) -> bool:
    """Whether it is a replica with a WAL stream."""
    link = member.server.intake.link
    return link is not None and link.receiver_open


def brisk(world: World) -> None:
    """Clients that write all the time, so that every stall shows."""
    for client in world.clients:
        client.pause, client.bulk, client.timeout_s = (0.02, 0.1), 0.0, 0.8


def epoch(world: World) -> int:
    """How often the lock has changed hands."""
    return world.truth.lock.epoch if world.truth.lock is not None else 0


def told(world: World, words: str) -> list[str]:
    """The lines of the trace with these words in them."""
    return [line for line in world.trace.lines() if words in line]


async def holds_for(seconds: float, condition: Callable[[], bool]) -> None:
    """The condition is true all the time."""
    until_then = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until_then:
        assert condition()
        await asyncio.sleep(0.05)


async def new_primary(world: World, old: Member, within_s: float) -> Member:
    """Wait for somebody else to accept writes."""
    await until(lambda: any(m.server.writable for m in world.members if m is not old), within_s)
    return next(member for member in world.members if member.server.writable and member is not old)
