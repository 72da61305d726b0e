"""Rule 7: nothing destructive follows from missing information."""

from __future__ import annotations

from matriarch.kube.api import PODS
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import DataDir
from matriarch.words.names import slot_name
from simulation.checkers.base import Checker


class NothingDestroyed(Checker):
    """No second initdb, no overwriting of the last copy of something acknowledged, no dropping of a member's slot."""

    rule = 7

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        """Look at what is no more."""
        others = [
            member.volume.data
            for member in self.world.members
            if member.server is not server and member.volume.data is not None
        ]
        if how == "initdb":
            self._second_initdb(server, others)
        if old is None:
            return
        kept = [*others, *([new] if new is not None else [])]
        for branch, lsn in self.world.checkers.no_lost_ack.protected.items():
            if old.holds(branch, lsn) and not any(disk.holds(branch, lsn) for disk in kept):
                self.broken(server.member, f"{how} removed the last copy of acknowledged {branch}@{lsn:X}")

    def _second_initdb(self, server: Server, others: list[DataDir]) -> None:
        initialize = self.world.truth.config.initialize
        if initialize in self.world.opened:
            self.broken(server.member, f"initdb although the cluster has system identifier {initialize}")
        if any(disk.sysid in self.world.opened and disk.sysid not in self.world.foreign for disk in others):
            self.broken(server.member, "initdb although another member has data that was in use")

    def slot_dropped(self, server: Server, slot: str) -> None:
        """On the primary, a slot goes only with its member."""
        if server.in_recovery is not False:
            return
        pods = self.world.kube.store.list(PODS, self.world.namespace).items
        if any(slot_name(pod["metadata"]["name"]) == slot for pod in pods):
            self.broken(server.member, f"dropped slot {slot} of a member that exists")
