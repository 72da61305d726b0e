"""Rule 2: a member is writable only inside its own lease, or under failsafe confirmed by every member."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Branch
from simulation.checkers.base import Checker

if TYPE_CHECKING:
    from simulation.world import World

SLACK_S = 1e-3
CLOCKS = 0.03
"""How much two members' clocks may differ in rate: an observer with a fast clock takes the lock a little early."""


class Lease(Checker):
    """Compares with what the API server and the peers really granted, on the world's clock: a lease that counts from
    when its renewal was applied is the longest that anybody could defend."""

    rule = 2

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._time = asyncio.get_running_loop().time

    def changed(self, server: Server) -> None:
        """A server came up."""
        self._check(server, "is writable")

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """The worst moment for it to be wrong."""
        del branch, lsn
        self._check(server, "acknowledges a write")

    def holder_changed(self, before: str | None, after: str | None) -> None:
        """The lock was taken from a holder that had not given it up: was its time over?"""
        if before is None or after is None:
            return
        sync = self.world.truth.sync
        if sync.leader == before and sync.claim == after and after in sync.standbys:
            # The fast failover: what it must not do is rules 1 and 3, which their own checkers watch.
            return
        truth = self.world.truth
        left = truth.granted.get(before, -1e9) - asyncio.get_running_loop().time()
        if left <= truth.settings.ttl * CLOCKS:
            return
        if truth.sync.leader == before and truth.sync.lists(after):
            # The fast failover of a synchronous cluster: rules 1 and 3 tell whether the old primary was disarmed.
            self.world.trace.add(after, f"took the lock {left:.3f} s before {before}'s TTL was over")
            return
        self.broken(after, f"took the lock from {before} {left:.3f} s before the TTL was over")

    def tick(self) -> None:
        """Look at all."""
        for member in self.world.members:
            if member.server.in_recovery is False:
                self._check(member.server, "is writable")

    def _check(self, server: Server, doing: str) -> None:
        if not server.writable:
            return
        now, truth = self._time(), self.world.truth
        if now <= truth.granted.get(server.member, -1e9):
            return
        over = now - truth.right_until(server.member)
        if over > SLACK_S:
            since = f"{over:.3f} s after its right ended" if over < 1e6 else "without ever having had a lease"
            self.broken(server.member, f"{doing} {since}")
