"""What commits wait for: the meaning of synchronous_standby_names, without its spelling (matriarch.config)."""

from __future__ import annotations

from matriarch.words.facts import fact


@fact(frozen=True, slots=True)
class SyncNames:
    """A commit is acknowledged once `count` of `names` have it.

    `quorum`: any `count` of them (`ANY`), else the first by rank (`FIRST`); with `count` equal to their number there is
    no difference but what Postgres calls them. `strict` with nobody named: no commit is acknowledged at all.
    """

    names: tuple[str, ...] = ()
    count: int = 0
    quorum: bool = False
    strict: bool = False

    @property
    def blocks(self) -> bool:
        """Nothing can be acknowledged."""
        return self.strict and not self.names


NOBODY = SyncNames()
"""Commits wait for nobody."""
BLOCKED = SyncNames(strict=True)
"""No commit is acknowledged."""


def every(names: tuple[str, ...]) -> SyncNames:
    """Each of `names` has to have a commit; nobody named: nobody is waited for."""
    return SyncNames(names, len(names))


def any_of(count: int, names: tuple[str, ...]) -> SyncNames:
    """Any `count` of `names` have to have a commit; nobody named: nobody is waited for."""
    return SyncNames(names, max(1, min(count, len(names))), quorum=True) if names else NOBODY
