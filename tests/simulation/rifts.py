"""Roads between members that are closed for a while, and may be opened again earlier."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.world import World


class Rifts:
    """Pairs of members that do not hear each other in one direction. A rift may end early, by `heal`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[tuple[str, str], int] = {}
        self._count = 0

    def tear(self, pairs: list[tuple[str, str]], seconds: float) -> None:
        """Let nothing pass for a while."""
        for pair in pairs:
            if pair in self._open:
                continue
            self._count += 1
            self._open[pair] = number = self._count
            self._world.network.cut(*pair)
            self._world.later(seconds, partial(self._close, pair, number))

    def _close(self, pair: tuple[str, str], number: int) -> None:
        if self._open.get(pair) == number:
            del self._open[pair]
            self._world.network.mend(*pair)

    def heal(self, one: str, other: str) -> None:
        """These two hear each other again."""
        for pair in ((one, other), (other, one)):
            if pair in self._open:
                self._close(pair, self._open[pair])
