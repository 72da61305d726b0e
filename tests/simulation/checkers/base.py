"""What a checker hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matriarch.ha.view import SyncView
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Branch, DataDir, Volume

if TYPE_CHECKING:
    from simulation.world import World


class Checker:
    """Base: hears everything, objects to nothing. `rule` is the number in RULES.md."""

    rule = 0

    def __init__(self, world: World) -> None:
        self.world = world

    def changed(self, server: Server) -> None:
        """A server came up, went out of recovery, hung, died, or its links or synchronous settings changed."""

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """A commit is being acknowledged."""

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        """A data directory was made, replaced or rewound."""

    def slot_dropped(self, server: Server, slot: str) -> None:
        """A slot was dropped."""

    def volume_lost(self, volume: Volume) -> None:
        """The world destroyed a disk."""

    def holder_changed(self, before: str | None, after: str | None) -> None:
        """The lock changed hands in the API server."""

    def sync_changed(self, before: SyncView, after: SyncView) -> None:
        """The sync object changed."""

    def tick(self) -> None:
        """A quarter of a second has passed."""

    def broken(self, who: str, what: str) -> None:
        """The rule does not hold."""
        self.world.violation(self.rule, who, what)
