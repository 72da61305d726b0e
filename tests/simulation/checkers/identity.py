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
        asked = self._asked_for(server, how)
        if old is None or old.sysid not in self.world.opened:
            return  # what an initdb left that was given up before anybody used it
        if self._cluster() is not None and old.sysid != self._cluster() and not asked:
            self.broken(server.member, f"{how} overwrote data of system identifier {old.sysid}")

    def _asked_for(self, server: Server, how: str) -> bool:
        """Whether a person asked for this copy: a new one is what an agent tells them to ask for when it has such data.
        Their word is good for one copy, made by the process that they gave it to."""
        member = next((member for member in self.world.members if member.server is server), None)
        if member is None or member.asked_anew is None or not how.startswith("clone of "):
            return False
        asked = member.asked_anew is member.agent
        member.asked_anew = None
        return asked
