"""Rule 6: a member whose data has another system identifier never joins; and nobody overwrites that data unasked."""

from __future__ import annotations

from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import DataDir
from simulation.checkers.base import Checker


class Identity(Checker):
    """Compares identifiers with the one in the config object."""

    rule = 6

    def _cluster(self) -> str | None:
        initialize = self.world.truth.config.initialize
        return initialize if initialize else None

    def changed(self, server: Server) -> None:
        """A primary of another cluster."""
        mine = server.volume.data
        if server.writable and mine is not None and self._cluster() not in (None, mine.sysid):
            self.broken(server.member, f"accepts writes with system identifier {mine.sysid}, not {self._cluster()}")

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        """A directory of another cluster was overwritten."""
        del new
        if old is None or old.sysid not in self.world.opened:
            return  # what an initdb left that was given up before anybody used it
        if self._cluster() is not None and old.sysid != self._cluster():
            self.broken(server.member, f"{how} overwrote data of system identifier {old.sysid}")
