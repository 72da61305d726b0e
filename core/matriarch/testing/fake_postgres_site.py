"""What a fake Postgres needs of its surroundings: where others are, how fast things go, and who watches."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from matriarch.testing.fake_network import FakeNetwork
from matriarch.testing.fake_postgres_wal import Branch, DataDir, Wal

if TYPE_CHECKING:
    from matriarch.testing.fake_postgres_server import Server

Range = tuple[float, float]


@dataclass(slots=True)
class Hazards:
    """How long things take (seconds, low and high) and how likely they fail (0 to 1)."""

    fsync: Range = (0.0005, 0.004)
    query: Range = (0.001, 0.02)
    start: Range = (0.05, 0.6)
    crash_recovery: Range = (0.05, 0.3)
    """Besides replaying what was written since the last checkpoint."""
    replay_rate: float = 64 * 1024 * 1024
    """Bytes of WAL that crash recovery replays in a second."""
    promote: Range = (0.05, 0.8)
    shutdown: Range = (0.02, 0.5)
    checkpoint: Range = (0.02, 0.5)
    kill: Range = (0.005, 0.05)
    initdb: Range = (0.5, 2.5)
    clone: Range = (0.5, 8.0)
    rewind: Range = (0.2, 4.0)
    reload: Range = (0.005, 0.1)
    archive: Range = (0.02, 0.3)
    """For one segment."""
    notice: Range = (0.0, 0.5)
    """Until the agent is told that a standby came, went or caught up."""
    replay_delay: Range = (0.001, 0.05)
    wal_keep: int = 128 * 1024 * 1024
    """wal_keep_size: bytes that stay without any slot."""
    start_fails: float = 0.0
    promote_fails: float = 0.0
    clone_fails: float = 0.0
    rewind_fails: float = 0.0
    archive_fails: float = 0.0
    initdb_fails: float = 0.0
    shutdown_hangs: float = 0.0


class Watcher(Protocol):
    """The checkers' ears: called at the very moment something happens to a server."""

    def event(self, member: str, what: str) -> None:
        """Something a reader of the trace wants to see."""

    def violation(self, rule: int, member: str, what: str) -> None:
        """The fake itself saw something that must never happen."""

    def changed(self, server: Server) -> None:
        """The server came up, went out of recovery, hung, died, or its synchronous settings or links changed."""

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """A commit that ends at `lsn` is being acknowledged."""

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        """A data directory was made, replaced or rewound."""

    def slot_dropped(self, server: Server, slot: str) -> None:
        """A replication slot was dropped on request."""


@dataclass(slots=True)
class Site:
    """One world's shared ground for its Postgres servers."""

    network: FakeNetwork
    watcher: Watcher
    wal: Wal = field(default_factory=Wal)
    servers: dict[str, Server] = field(default_factory=dict)
    """By address of the pod."""
    sysids: int = 0
    archive: set[tuple[Branch, int]] = field(default_factory=set)
    """The WAL archive: segments by branch and number."""

    def new_sysid(self) -> str:
        """A system identifier that no other initdb of this world got."""
        self.sysids += 1
        return str(7_000_000_000_000_000_000 + self.sysids)


def between(rng: random.Random, bounds: Range) -> float:
    """A random duration."""
    low, high = bounds
    return low + (high - low) * rng.random()
