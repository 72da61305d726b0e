"""A world with a cluster that runs."""

from __future__ import annotations

import pytest
from unit.operator.world import World


@pytest.fixture
async def world() -> World:
    world = World()
    await world.apply()
    await world.settle()
    return world
