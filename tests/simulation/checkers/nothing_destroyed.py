"""Rule 7: nothing destructive follows from missing information."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from matriarch.kube.api import PODS
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import DataDir
from matriarch.words.names import slot_name
from simulation.checkers.base import Checker

if TYPE_CHECKING:
    from simulation.world import World


ABSENT_S = 1.0
"""Between two looks a pod is there all the time, unless they are farther apart than this."""
UNDER_WAY_S = 5.0
"""How long a drop may take, in seconds: a member that comes back meanwhile, after its time, comes too late for it."""


class NothingDestroyed(Checker):
    """No second initdb, no overwriting of the last copy of something acknowledged, no dropping of a member's slot."""

    rule = 7

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._pods = world.kube.store.table(PODS)
        self._seen_at: dict[str, float] = {}
        self._back: dict[str, tuple[float, float]] = {}
        """When a member came back, and how long it had been away."""

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
        if old.ready and not old.offered and old.sysid == self.world.truth.config.initialize:
            what = f"{how} dropped {len(old.ready)} finished segments that were not offered to the archive"
            self.broken(server.member, what)
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
        """On the primary, a slot goes only with its member, after `member_slots_ttl`, or with its setting."""
        if server.in_recovery is not False:
            return
        self.tick()
        settings = self.world.truth.settings
        if slot in settings.slots.permanent:
            self.broken(server.member, f"dropped the permanent slot {slot}")
        now = asyncio.get_running_loop().time()
        gone_for = now - self._seen_at.get(slot, -math.inf)
        back_at, was_gone_for = self._back.get(slot, (-math.inf, 0.0))
        if now - back_at < UNDER_WAY_S:
            gone_for = max(gone_for, was_gone_for)
        if gone_for < 0.98 * settings.member_slots_ttl:  # the member counts on its own clock
            self.broken(server.member, f"dropped slot {slot} of a member that was there {gone_for:.0f} s ago")

    def tick(self) -> None:
        """Remember when each member's pod was last there."""
        now = asyncio.get_running_loop().time()
        for _, name in self._pods.objects:
            slot = slot_name(name)
            away = now - self._seen_at.get(slot, now)
            if away > ABSENT_S:
                self._back[slot] = (now, away)
            self._seen_at[slot] = now
