"""What a fake Postgres has on disk: WAL as branches with real divergence, and data directories that stand on them.

A position is a pair (branch, LSN). Timeline *numbers* are picked as Postgres picks them, so two members can both create
timeline 2 with different content; a `Branch` is what tells those apart, and only checkers look at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

FIRST_LSN = 0x3000000
"""Where a freshly initialised server's WAL stands, in bytes."""
SEGMENT = 16 * 1024 * 1024
"""Bytes of one WAL segment."""
CHECKPOINT_EVERY = 64 * 1024 * 1024
"""max_wal_size: bytes of WAL after which a server makes a checkpoint of its own accord."""

ControlState = Literal["shut down", "shut down in recovery", "in production", "in archive recovery"]


@dataclass(eq=False, slots=True)
class Branch:
    """WAL written by one server without interruption by another. `fork` is where it leaves its parent."""

    number: int
    sysid: str
    timeline: int
    parent: Branch | None
    fork: int
    owner: str
    end: int
    _switches: dict[int, int] | None = None

    def lineage(self, upto: int) -> Iterator[tuple[Branch, int]]:
        """This branch and its ancestors, youngest first, each with the LSN up to which its content is part of it."""
        branch: Branch | None = self
        while branch is not None:
            yield branch, upto
            upto = min(upto, branch.fork)
            branch = branch.parent

    def holds(self, at: int, branch: Branch, lsn: int) -> bool:
        """Whether data that ends at `at` on this branch contains position (`branch`, `lsn`)."""
        return any(own is branch and lsn <= upto for own, upto in self.lineage(at))

    def at(self, lsn: int) -> Branch:
        """The branch of this lineage to which position `lsn` belongs."""
        branch = self
        while branch.parent is not None and lsn <= branch.fork:
            branch = branch.parent
        return branch

    def switches(self) -> dict[int, int]:
        """Each past timeline and the LSN where it was left, as the timeline history file tells it: it never changes."""
        if self._switches is None:
            self._switches = self._find_switches()
        return self._switches

    def _find_switches(self) -> dict[int, int]:
        left: dict[int, int] = {}
        branch: Branch | None = self
        while branch is not None and branch.parent is not None:
            if branch.parent.timeline != branch.timeline:
                left.setdefault(branch.parent.timeline, branch.fork)
            branch = branch.parent
        return left

    def common(self, at: int, other: Branch, other_at: int) -> tuple[Branch, int] | None:
        """The last position that both (self, at) and (other, other_at) contain; None when they share nothing."""
        theirs = dict(other.lineage(other_at))
        for branch, upto in self.lineage(at):
            if branch in theirs:
                return branch, min(upto, theirs[branch])
        return None

    def __str__(self) -> str:
        return f"t{self.timeline}b{self.number}"


class Wal:
    """All branches of one simulated world, numbered in the order of their birth."""

    def __init__(self) -> None:
        self._count = 0

    def grow(self, owner: str, sysid: str, timeline: int, parent: Branch | None, fork: int) -> Branch:
        """A new branch that leaves `parent` at `fork`."""
        self._count += 1
        return Branch(self._count, sysid, timeline, parent, fork, owner, fork)


@dataclass(frozen=True, slots=True)
class LogicalSlot:
    """A logical slot at `lsn`; `synced`: a copy that the server itself keeps."""

    database: str
    plugin: str
    lsn: int
    synced: bool = False


@dataclass(eq=False, slots=True)
class DataDir:
    """One data directory. `written` survives a process, `flushed` also the machine; `replayed` is what queries see."""

    sysid: str
    branch: Branch
    written: int
    flushed: int
    replayed: int
    state: ControlState = "in archive recovery"
    was_primary: bool = False
    checkpoint: int = FIRST_LSN
    checkpoint_end: int = FIRST_LSN
    known_timeline: int = 1
    """The highest timeline whose history file is here: a promotion takes the next number."""
    retained_from: int = FIRST_LSN
    """The oldest WAL that is still here."""
    slots: dict[str, int] = field(default_factory=dict)
    """Physical slots, and from where each needs WAL."""
    logical: dict[str, LogicalSlot] = field(default_factory=dict)
    half_rewound: bool = False
    """pg_rewind was interrupted: only a new copy helps."""
    unborn: bool = False
    """Made by initdb here and never started as a primary."""
    consistent_at: int = 0
    """A rewind's source was here at its end; a server needs the WAL up to there before it can be used."""
    unproven: bool = False
    """It was rewound, and no server has come up on it since."""
    archive_command: str = ""
    """That of the configuration that is here; empty: archive_mode is off."""
    ready: list[tuple[Branch, int]] = field(default_factory=list)
    """Finished segments, by branch and number, that are not archived yet."""
    offered: bool = False
    """Since this data's last time as primary an attempt to archive those has come to its end."""
    led_timeline: int | None = None
    """The last timeline on which this directory was written by a primary here, since it was copied or rewound."""

    def holds(self, branch: Branch, lsn: int) -> bool:
        """Whether this data contains a position."""
        return self.branch.holds(self.flushed, branch, lsn)

    def copy(self) -> DataDir:
        """What a base backup of a running server gives: its data, none of its slots."""
        return DataDir(
            self.sysid,
            self.branch,
            self.flushed,
            self.flushed,
            self.flushed,
            checkpoint=self.checkpoint,
            checkpoint_end=self.checkpoint_end,
            known_timeline=max(self.known_timeline, self.branch.timeline),
            retained_from=self.checkpoint,
        )

    def remove_old_wal(self, keep: int) -> None:
        """What a checkpoint or a restartpoint does: WAL goes that neither a slot nor wal_keep_size asks for."""
        decoded = [slot.lsn for slot in self.logical.values()]
        needed = min([self.flushed - keep, self.checkpoint, *self.slots.values(), *decoded])
        self.retained_from = max(self.retained_from, needed)

    def crash(self, *, machine: bool) -> None:
        """The server died: what was not written to disk is gone; with the `machine`, also what was not flushed."""
        self.written = self.flushed = self.flushed if machine else self.written
        self.replayed = min(self.replayed, self.flushed)
        self.branch = self.branch.at(self.flushed)

    def __str__(self) -> str:
        return f"{self.branch}@{self.flushed:X}"


@dataclass(eq=False, slots=True)
class Volume:
    """A member's disk. It may outlive the pod, or be lost with its node."""

    number: int
    data: DataDir | None = None
    readable: bool = True
    full: bool = False
    """No space is left: nothing can be written."""
