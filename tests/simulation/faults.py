"""Faults by name, and the schedule that the seed makes of them. Each undoes itself; healing undoes the rest at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulation.api_faults import API_FAULTS, deleted_record
from simulation.network_faults import NETWORK_FAULTS, rift
from simulation.process_faults import PROCESS_FAULTS

if TYPE_CHECKING:
    from simulation.world import World

Undo = Callable[[], None]
Fault = Callable[["World", random.Random], None]

MIXED: dict[str, Fault] = {**PROCESS_FAULTS, **NETWORK_FAULTS, **API_FAULTS}
KINDS: tuple[str, ...] = tuple(sorted(MIXED))
"""What any cluster may meet."""
FAULTS: dict[str, Fault] = {**MIXED, "rift": rift, "deleted-record": deleted_record}


PATIENCE = 60
"""Quarters of a second until a wave comes although the cluster has not got over the last one."""


async def torment(world: World) -> None:
    """Inject faults until cancelled."""
    rng = random.Random(f"{world.seed}/faults")
    if world.plan.waves:
        await _in_waves(world, rng)
    # Half of the runs leave the cluster time to form; the others disturb its birth.
    await asyncio.sleep(rng.choice([0.0, 20.0]))
    while True:
        await asyncio.sleep(rng.expovariate(1 / world.plan.fault_every_s))
        _inject(world, rng)


def _inject(world: World, rng: random.Random) -> None:
    kinds, weights = list(world.plan.weights), list(world.plan.weights.values())
    kind = rng.choices(kinds, weights)[0]
    world.count_fault(kind)
    FAULTS[kind](world, rng)


async def _in_waves(world: World, rng: random.Random) -> None:
    """Some faults at once, each time that there is a synchronous primary again: what is aimed at needs a target."""
    while True:
        await _synchronous(world)
        await asyncio.sleep(rng.uniform(0.2, 2.0))
        if world.ambusher is not None:
            world.ambusher.arm(rng.choice([1, 3, 6, 12]))
        for _ in range(rng.choice([1, 1, 2, 3])):
            _inject(world, rng)
            await asyncio.sleep(rng.choice([0.0, rng.uniform(0.0, world.plan.fault_every_s)]))
        await asyncio.sleep(rng.uniform(2.0, 6.0))


async def _synchronous(world: World) -> None:
    """Wait until all others stream from the primary and one is listed; not for ever."""
    for _ in range(PATIENCE):
        sync, primary = world.truth.sync, next((m.server for m in world.members if m.server.writable), None)
        if sync.standbys and primary is not None and len(primary.links) >= len(world.members) - 1:
            return
        await asyncio.sleep(0.25)
