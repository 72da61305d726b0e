"""Strict synchronous mode (rule 3): no commit is acknowledged that only the primary has."""

from __future__ import annotations

from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Branch
from simulation.checkers.base import Checker


class Strict(Checker):
    """Looks only while the mode has been strict since the beginning: a primary may learn late that it was made so."""

    rule = 3
    _always = True

    def tick(self) -> None:
        """Was it switched off?"""
        settings = self.world.plan.settings
        self._always = self._always and bool(settings["synchronous_mode"] and settings.get("synchronous_mode_strict"))

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """Somebody else has to have it."""
        self.tick()
        if not self._always:
            return
        others = [member.volume.data for member in self.world.members if member.server is not server]
        if not any(disk is not None and disk.holds(branch, lsn) for disk in others):
            self.broken(server.member, f"acknowledges {branch}@{lsn:X} in strict mode, and nobody else has it")
