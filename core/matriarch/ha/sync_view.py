"""What the sync object says of who may be promoted. Part of the view; see `matriarch.ha.view`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """Who may be promoted, by the sync object of one moment."""

    leader: str | None
    standbys: tuple[str, ...]
    quorum: int


@dataclass(frozen=True, slots=True)
class SyncView:
    """The sync object: any `quorum` + 1 of `standbys` together have every acknowledged commit of `leader`. In priority
    mode the quorum is 0: each of them has every one.

    `claim` names a standby that is about to take the lock of a silent leader (rules/takeover.py).
    """

    leader: str | None = None
    standbys: tuple[str, ...] = ()
    quorum: int = 0
    version: str | None = None
    claim: str | None = None

    @property
    def listed(self) -> Listed:
        """What it says, without its version and any claim."""
        return Listed(self.leader, self.standbys, self.quorum)

    def lists(self, member: str) -> bool:
        """Whether a member may be promoted without losing an acknowledged commit, with the quorum's consent where there
        is one. Case does not matter to Postgres."""
        wanted = member.lower()
        return wanted == (self.leader or "").lower() or wanted in (name.lower() for name in self.standbys)
