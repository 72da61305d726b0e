"""Rule 4: in asynchronous mode nobody too far behind wins, and a race goes to the most advanced member in reach."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from simulation.checkers.base import Checker

if TYPE_CHECKING:
    from simulation.member import Member
    from simulation.world import World

STEADY_S = 4.0
"""For how long a rival must have been reachable and ahead before it counts as overlooked."""
BRISK_S = 0.2
"""Where answers may take longer, a rival can rightly count as out of reach."""
ASKED_S = 60.0
"""A person's request for a failover stands above this rule for so long."""


class AsyncLag(Checker):
    """Judges at the moment the lock changes hands, from positions sampled before it."""

    rule = 4

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._steady: dict[tuple[str, str], float] = {}
        self._whole: tuple[str, ...] | None = None
        """Who was fit at the last tick, if all of them were in reach of each other."""
        self._samples: dict[str, deque[tuple[float, int]]] = {m.name: deque(maxlen=40) for m in world.members}

    def tick(self) -> None:
        """Sample who is in reach of whom, and where; of no use while only synchronous members may win."""
        if self.world.truth.sync.leader is not None:
            self._steady.clear()
            self._whole = None
            return
        now = asyncio.get_running_loop().time()
        fit = [member for member in self.world.members if self._fit(member)]
        for member in self.world.members:
            samples = self._samples[member.name]
            if member in fit:
                samples.append((now, self._lsn(member)))
            else:
                samples.clear()
        network = self.world.network
        brisk = not network.loss and network.delay[1] + self.world.plan.hazards.query[1] < BRISK_S
        whole = tuple(member.name for member in fit) if brisk and network.whole else None
        if whole is None or whole != self._whole:
            pairs = {(a.name, b.name) for a in fit for b in fit if brisk and network.both_ways(a.ip, b.ip)}
            self._steady = {pair: self._steady.get(pair, now) for pair in sorted(pairs)}
        self._whole = whole

    def holder_changed(self, before: str | None, after: str | None) -> None:
        """Somebody took the lock."""
        now = asyncio.get_running_loop().time()
        winner = next((member for member in self.world.members if member.name == after), None)
        if winner is None or before == after:
            return
        if winner.tags.nofailover and winner.server.in_recovery is True:
            self.broken(winner.name, "took the lock in a race although it is tagged nofailover")
        if self.world.truth.sync.leader is not None:
            return
        if now - self.world.truth.requested_at < ASKED_S or winner.server.in_recovery is not True:
            return
        mine = self._lsn(winner)
        lock, settings = self.world.truth.lock, self.world.truth.settings
        if lock is not None and lock.optime is not None:
            behind = lock.optime - mine
            if behind > settings.maximum_lag_on_failover:
                self.broken(winner.name, f"took the lock {behind} bytes behind the last known position")
        for rival in self.world.members:
            since = self._steady.get((winner.name, rival.name))
            if rival is winner or since is None or now - since < STEADY_S:
                continue
            ahead = self._lsn_at(rival, now - STEADY_S) - mine
            if ahead > 0 and self._timeline(rival) >= self._timeline(winner):
                self.broken(winner.name, f"took the lock although {rival.name}, in reach, is {ahead} bytes ahead")

    def _fit(self, member: Member) -> bool:
        server = member.server
        if member.restarts_blocked:  # told to end: who takes the lock to lead for a moment helps nobody
            return False
        if member.agent is None or member.gate.shut or server.hung or member.tags.nofailover:
            return False
        return server.process == "running" and server.in_recovery is True

    def _lsn(self, member: Member) -> int:
        return member.volume.data.flushed if member.volume.data is not None else 0

    def _lsn_at(self, member: Member, moment: float) -> int:
        return max((lsn for at, lsn in self._samples[member.name] if at <= moment), default=0)

    def _timeline(self, member: Member) -> int:
        return member.volume.data.branch.timeline if member.volume.data is not None else 0
