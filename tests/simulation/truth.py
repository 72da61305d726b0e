"""What the API server really holds, and who was really granted what: read from the store itself at each change.

Checkers compare the members with this, not with what any agent believes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matriarch.ha import records
from matriarch.ha.settings import ClusterSettings, parse_settings
from matriarch.ha.view import ConfigView, Request, SyncView
from matriarch.kube.api import ENDPOINTS, Kind
from matriarch.testing.fake_kube_store import Change
from matriarch.words import names

if TYPE_CHECKING:
    from simulation.world import World


class Truth:
    """The records of one cluster as they are now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.holder: str | None = None
        self.lock: records.LockRecord | None = None
        self.sync = SyncView()
        self.config = ConfigView()
        self.request = Request(None, None, None, None)
        self.settings = ClusterSettings()
        self.granted: dict[str, float] = {}
        """Member -> until when its last renewal may be counted at most, in the loop's seconds."""
        self.accepted: dict[str, dict[str, float]] = {}
        """Claimant -> member -> until when that member's acceptance of a failsafe claim counts."""
        self.address_changes: list[tuple[float, str | None]] = [(-1e9, None)]
        """When the primary Service began to point where."""
        self.requested_at = -1e9
        """When a switchover or failover was last asked for."""

    def changed(self, kind: Kind, change: Change) -> None:
        """The store changed."""
        if kind is not ENDPOINTS and kind.plural != "endpoints":
            return
        name = change.object["metadata"]["name"]
        cluster = self._world.cluster
        if change.type == "DELETED":
            self._deleted(name)
        elif name == names.lock_object(cluster):
            self._lock_changed(change)
        elif name == names.sync_object(cluster):
            before, self.sync = self.sync, records.read_sync(change.object)
            if (before.leader, before.standbys) != (self.sync.leader, self.sync.standbys):
                listed = ",".join(self.sync.standbys) or "nobody"
                self._world.trace.add("api", f"sync object: {self.sync.leader} with {listed}")
                self._world.sync_changed(before, self.sync)
        elif name == names.config_object(cluster):
            self.config = records.read_config(change.object)
            text = records.annotations_of(change.object).get("config")
            self.settings = parse_settings(text, self.settings)
        elif name == names.failover_object(cluster):
            self.request = records.read_request(change.object)
            if self.request.pending:
                self.requested_at = asyncio.get_running_loop().time()

    def _deleted(self, name: str) -> None:
        """Only an administrator's mistake does that. Whoever had a lease, or the word of
        all in the topology, has it until its time is over."""
        self._world.trace.add("api", f"{name} is deleted")
        if name == names.lock_object(self._world.cluster):
            old, self.holder = self.holder, None
            self._world.checkers.holder_changed(old, None)
        elif name == names.config_object(self._world.cluster):
            self.config = ConfigView()

    def _lock_changed(self, change: Change) -> None:
        now = asyncio.get_running_loop().time()
        before, self.lock = self.lock, records.read_lock(change.object)
        holder = self.lock.holder
        if holder is not None and (before is None or before.heartbeat != self.lock.heartbeat):
            self.granted[holder] = now + (self.lock.ttl or self.settings.ttl)
        if holder != self.holder:
            old, self.holder = self.holder, holder
            if holder is None and old is not None:
                self.granted.pop(old, None)
            what = f"lock: {holder or 'released'} (before: {old or 'nobody'}), epoch {self.lock.epoch}"
            self._world.trace.add("api", what)
            self._world.checkers.holder_changed(old, holder)
        address = _address(change.object)
        if address != self.address_changes[-1][1]:
            self.address_changes.append((now, address))

    def accept(self, claimant: str, member: str, ttl: float) -> None:
        """A member agreed to a failsafe claim just now, for so many seconds."""
        self.accepted.setdefault(claimant, {})[member] = asyncio.get_running_loop().time() + ttl

    def right_until(self, member: str) -> float:
        """The latest moment at which the member may be writable: by its lease, or by failsafe (rule 2)."""
        lease = self.granted.get(member, -1e9)
        topology = self.lock.failsafe if self.lock is not None else None
        if not topology or member not in topology:
            return lease
        answers = self.accepted.get(member, {})
        others = [answers.get(name, -1e9) for name in topology if name != member]
        return max(lease, min(others, default=1e9))

    def address(self, moment: float) -> str | None:
        """Where the primary Service pointed at `moment`."""
        for at, address in reversed(self.address_changes):
            if at <= moment:
                return address
        return None


def _address(obj: records.Object) -> str | None:
    for subset in obj.get("subsets") or []:
        for address in subset.get("addresses") or []:
            return str(address.get("ip"))
    return None
