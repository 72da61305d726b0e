"""Rule 1: at no instant can two members commit a write that a client sees acknowledged."""

from __future__ import annotations

from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Branch
from simulation.checkers.base import Checker


class SingleWriter(Checker):
    """Counts the servers that could acknowledge a commit right now: out of recovery, running, and with their
    synchronous standbys, if they have to wait for any, within reach."""

    rule = 1

    def changed(self, server: Server) -> None:
        """Only a server that is writable can have made things worse; its standbys may have moved to it."""
        if server.writable:
            self.tick()

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """An acknowledgement while somebody else could give one as well, unless that one has the commit: then it is
        the late word on a commit from before the change of primaries."""
        writable = [member.server for member in self.world.members if member.server.in_recovery is False]
        if writable == [server]:
            return
        others = [other for other in writable if other is not server and other.can_acknowledge()]
        unaware = [other for other in others if not other.disk.holds(branch, lsn)]
        if unaware:
            self._complain([server, *unaware])

    def tick(self) -> None:
        """Look at all."""
        writable = [member.server for member in self.world.members if member.server.in_recovery is False]
        able = [server for server in writable if server.can_acknowledge()] if len(writable) > 1 else []
        if len(able) > 1:
            self._complain(able)

    def _complain(self, able: list[Server]) -> None:
        what = " and ".join(f"{server.member} on {server.disk}" for server in able)
        self.broken(able[0].member, f"two members can acknowledge writes: {what}")
