"""Faults by name, and the schedule that the seed makes of them. Each undoes itself; healing undoes the rest at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulation.api_faults import API_FAULTS
from simulation.network_faults import NETWORK_FAULTS
from simulation.process_faults import PROCESS_FAULTS

if TYPE_CHECKING:
    from simulation.world import World

Undo = Callable[[], None]
Fault = Callable[["World", random.Random], None]

FAULTS: dict[str, Fault] = {**PROCESS_FAULTS, **NETWORK_FAULTS, **API_FAULTS}
KINDS: tuple[str, ...] = tuple(sorted(FAULTS))


async def torment(world: World) -> None:
    """Inject faults until cancelled."""
    rng = random.Random(f"{world.seed}/faults")
    kinds, weights = list(world.plan.weights), list(world.plan.weights.values())
    # Half of the runs leave the cluster time to form; the others disturb its birth.
    await asyncio.sleep(rng.choice([0.0, 20.0]))
    while True:
        await asyncio.sleep(rng.expovariate(1 / world.plan.fault_every_s))
        kind = rng.choices(kinds, weights)[0]
        world.count_fault(kind)
        FAULTS[kind](world, rng)
