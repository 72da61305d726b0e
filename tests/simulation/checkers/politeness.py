"""No member hammers the API server, whatever it answers: a promise to everybody else on it, numbered 9 here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from simulation.checkers.base import Checker

if TYPE_CHECKING:
    from simulation.world import World

WINDOW_S = 5.0
MOST = 100
"""Requests of one member in a window: a busy failover needs a few dozen, a loop without a pause hundreds."""


class Politeness(Checker):
    """Counts each member's requests."""

    rule = 9

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._before: dict[str, int] = {}
        self._since = 0.0

    def tick(self) -> None:
        """Once a window."""
        now = asyncio.get_running_loop().time()
        if now - self._since < WINDOW_S:
            return
        self._since = now
        sums: dict[str, int] = {}
        for (identity, _verb, _plural), count in self.world.kube.calls.items():
            sums[identity] = sums.get(identity, 0) + count
        for member in self.world.members:
            made = sums.get(member.name, 0) - self._before.get(member.name, 0)
            if made > MOST:
                self.broken(member.name, f"sent {made} requests to the API server in {WINDOW_S:.0f} s")
        self._before = sums
