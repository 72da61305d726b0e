"""The two conditions behind every change of the synchronous set. Priority mode is the case quorum = 0, needed = all."""

from __future__ import annotations

from model.state import Members, SyncObject


def supports(names: Members, needed: int, sync: SyncObject) -> bool:
    """Writes from now on: any `quorum` + 1 voters meet any `needed` of `names` who acknowledge one."""
    return not sync.voters or (sync.voters | names).bit_count() <= sync.quorum + needed


def sure_of(sync: SyncObject, confirmed: Members, voters: Members) -> int:
    """Writes so far: how many of `voters` have each of them for certain.

    `sync` tells that `quorum` + 1 of its voters have it together, so all but `quorum` of them have it, nobody knows
    which; `confirmed` have everything.
    """
    holders = sync.voters.bit_count() - sync.quorum
    elsewhere = (confirmed & sync.voters).bit_count() + (sync.voters & ~voters & ~confirmed).bit_count()
    return (confirmed & voters).bit_count() + max(0, holders - elsewhere)


def may_promise(old: SyncObject, confirmed: Members, new: SyncObject) -> bool:
    """Whether every write acknowledged so far is where `new` says that it is."""
    return sure_of(old, confirmed, new.voters) >= new.voters.bit_count() - new.quorum
