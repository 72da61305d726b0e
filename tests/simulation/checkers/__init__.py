"""One checker per safety rule. They are called at the very moment something happens, and once more at every tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matriarch.ha.view import SyncView
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Branch, DataDir, Volume
from simulation.checkers.async_lag import AsyncLag
from simulation.checkers.base import Checker
from simulation.checkers.identity import Identity
from simulation.checkers.lease import Lease
from simulation.checkers.no_lost_ack import NoLostAck
from simulation.checkers.nothing_destroyed import NothingDestroyed
from simulation.checkers.politeness import Politeness
from simulation.checkers.single_writer import SingleWriter
from simulation.checkers.strict import Strict

if TYPE_CHECKING:
    from simulation.world import World


class Checkers(Checker):
    """All of them, each told of what it listens to."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.no_lost_ack = NoLostAck(world)
        every = [
            SingleWriter(world),
            Lease(world),
            self.no_lost_ack,
            Strict(world),
            AsyncLag(world),
            Identity(world),
            NothingDestroyed(world),
            Politeness(world),
        ]
        self._heard_by = {name: _overriding(name, every) for name in _EVENTS}

    def changed(self, server: Server) -> None:
        """To all."""
        for checker in self._heard_by["changed"]:
            checker.changed(server)

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """To all."""
        for checker in self._heard_by["acknowledged"]:
            checker.acknowledged(server, branch, lsn)

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        """To all."""
        for checker in self._heard_by["data_replaced"]:
            checker.data_replaced(server, old, new, how)

    def slot_dropped(self, server: Server, slot: str) -> None:
        """To all."""
        for checker in self._heard_by["slot_dropped"]:
            checker.slot_dropped(server, slot)

    def volume_lost(self, volume: Volume) -> None:
        """To all."""
        for checker in self._heard_by["volume_lost"]:
            checker.volume_lost(volume)

    def holder_changed(self, before: str | None, after: str | None) -> None:
        """To all."""
        for checker in self._heard_by["holder_changed"]:
            checker.holder_changed(before, after)

    def sync_changed(self, before: SyncView, after: SyncView) -> None:
        """To all."""
        for checker in self._heard_by["sync_changed"]:
            checker.sync_changed(before, after)

    def tick(self) -> None:
        """To all."""
        for checker in self._heard_by["tick"]:
            checker.tick()


_EVENTS = (
    "changed",
    "acknowledged",
    "data_replaced",
    "slot_dropped",
    "volume_lost",
    "holder_changed",
    "sync_changed",
    "tick",
)


def _overriding(event: str, checkers: list[Checker]) -> list[Checker]:
    """Who has something to say about an event, in the order of all."""
    return [checker for checker in checkers if getattr(type(checker), event) is not getattr(Checker, event)]
