"""Rule 3: in synchronous mode no acknowledged commit is missing on a new primary.

A commit is protected when it was acknowledged while the sync object named a leader: whoever may be promoted then is
listed there. When the object is emptied (synchronous mode was switched off) nothing is protected any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matriarch.ha.view import SyncView
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Branch, DataDir, Volume
from simulation.checkers.base import Checker

if TYPE_CHECKING:
    from simulation.world import World


class NoLostAck(Checker):
    """Remembers the last protected position of each branch."""

    rule = 3

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.protected: dict[Branch, int] = {}
        self._reign: Server | None = None
        self._known_life: dict[str, int] = {}

    def changed(self, server: Server) -> None:
        """A server that can from now on acknowledge writes must have everything. One that is writable but waits for
        a standby that another primary has taken with it can acknowledge nothing."""
        if server.can_acknowledge():
            self._note(server)

    def _note(self, server: Server) -> None:
        """It can acknowledge, or does: since when, and what has it?"""
        if self._known_life.get(server.host) == server.life:
            return
        self._known_life[server.host] = server.life
        self._reign = server
        missing = self.missing_in(server.disk)
        if missing is not None:
            self.broken(server.member, f"accepts writes on {server.disk} without acknowledged {missing}")

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """Remember it; and the newest primary must have it. What is acknowledged may have been confirmed before the
        standby fell silent, so that nobody could have foretold it."""
        self._note(server)
        if self.world.truth.sync.leader is None:
            return
        self.protected[branch] = max(self.protected.get(branch, 0), lsn)
        reign = self._reign
        if reign is not None and reign is not server and reign.writable and not reign.disk.holds(branch, lsn):
            what = f"acknowledged {branch}@{lsn:X}, which the new primary {reign.member} ({reign.disk}) does not have"
            self.broken(server.member, what)

    def sync_changed(self, before: SyncView, after: SyncView) -> None:
        """Switched off: nothing is promised any more."""
        del before
        if after.leader is None:
            self.protected.clear()

    def volume_lost(self, volume: Volume) -> None:
        """What no disk has any more cannot be asked for."""
        del volume
        disks = [m.volume.data for m in self.world.members if m.volume.data is not None]
        for branch, lsn in list(self.protected.items()):
            if not any(disk.holds(branch, lsn) for disk in disks):
                self.world.trace.add("world", f"acknowledged {branch}@{lsn:X} went with the last disk that had it")
                del self.protected[branch]

    def missing_in(self, disk: DataDir) -> str | None:
        """A protected position that the data lacks."""
        for branch, lsn in self.protected.items():
            if not disk.holds(branch, lsn):
                return f"{branch}@{lsn:X}"
        return None
