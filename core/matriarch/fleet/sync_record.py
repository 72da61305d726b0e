"""Who has every acknowledged commit, as the sync object tells it (after Patroni), or a note of what it told."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """The leader has every acknowledged commit, and so have any `quorum` + 1 of the standbys together. Without a leader
    it says nothing."""

    leader: str = ""
    standbys: tuple[str, ...] = ()
    quorum: int = 0

    def enough(self, present: AbstractSet[str]) -> bool:
        """Whether those present have every acknowledged commit."""
        return bool(self.leader) and (self.leader in present or len(present & set(self.standbys)) > self.quorum)


def read_sync(annotations: Mapping[str, str]) -> SyncRecord:
    """Reads what anybody may have written: what cannot be read counts as not said."""
    listed = (name.strip() for name in (annotations.get("sync_standby") or "").split(","))
    quorum = annotations.get("quorum") or ""
    return SyncRecord(
        leader=annotations.get("leader") or "",
        standbys=tuple(name for name in listed if name),
        quorum=int(quorum) if quorum.isascii() and quorum.isdigit() and len(quorum) < 5 else 0,
    )
