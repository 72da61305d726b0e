"""Quorum mode's counts: who has to be heard before nobody with an acknowledged commit can be missing (rule 3).

Any `quorum` + 1 of the sync object's voters together have every acknowledged commit. So a voter that has heard `quorum`
others, none of them ahead of it, has everything. Their word counts only when it was asked for after the former leader's
right had ended: that one may have acknowledged a commit with anybody who answered before. It counts only when it is
about all that they have, too: a server that still replays what is on its disk knows less of itself than it has. The
sync object's leader needs nobody's word, since it has every commit of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from matriarch.ha.actions import PollPeers
from matriarch.ha.view import PeerAnswer, Poll, View
from matriarch.words.lsn import format_lsn


def votes_needed(view: View) -> int:
    """How many others this member has to hear before it may be promoted; 0 outside quorum mode."""
    if not view.settings.synchronous or view.sync.leader is None or _is(view.sync.leader, view.me.name):
        return 0
    return view.sync.quorum


def electorate(view: View) -> tuple[str, ...]:
    """The others whose word counts: the voters, and the leader that they had."""
    names = (*view.sync.standbys, *([view.sync.leader] if view.sync.leader else []))
    return tuple(name.lower() for name in names if not _is(name, view.me.name))


def in_time(view: View, poll: Poll) -> bool:
    """Whether a round of questions began after this member saw the lock free."""
    since = view.memory.unlocked_since
    return since is not None and poll.began is not None and poll.began >= since


def ask(view: View, before: Poll | None) -> PollPeers:
    """Ask everybody; whoever was silent a moment ago is taken for silent once more, and costs no time.

    So is the leader that released the lock: its Postgres had ended before, and mostly its agent too. A lock object that
    tells no position was not released, but made anew: then everybody is asked who still writes.
    """
    silent = {a.name for a in before.answers if not a.reachable} if before is not None else set()
    released = view.lock.holder is None and view.lock.optime is not None
    if released and view.sync.leader not in (None, view.me.name):
        silent.add(view.sync.leader or "")
    return PollPeers(skip=tuple(sorted(silent)))


def votes(view: View, answers: Iterable[PeerAnswer]) -> list[str]:
    """The members of the electorate that are not ahead of this one, by their own complete word."""
    counted = electorate(view)
    return [a.name for a in answers if a.name.lower() in counted and _tells(a) and not ahead(view, a)]


def obstacle(view: View, answers: tuple[PeerAnswer, ...]) -> str | None:
    """What keeps this member from being promoted by a quorum; None when nothing does, or when none is needed."""
    needed = votes_needed(view)
    if not needed:
        return None
    # The former leader may have more: what nobody else has was never acknowledged.
    voters = [name for name in electorate(view) if not _is(name, view.sync.leader or "")]
    for answer in answers:
        if answer.name.lower() in voters and answer.reachable and ahead(view, answer):
            return f"{answer.name} is at {answer.timeline}:{format_lsn(answer.lsn or 0)}"
    found = votes(view, answers)
    if len(found) >= needed:
        return None
    asked, heard = ", ".join(electorate(view)), ", ".join(found) or "nobody"
    return f"who does not answer may have more: heard {heard}, needs {needed} of {asked}"


def short_of_promises(view: View, answers: tuple[PeerAnswer, ...]) -> str | None:
    """Why a silent leader may not be succeeded yet where a quorum decides; None when nothing speaks against it.

    |voters or names in force| <= quorum + count: with quorum + 1 voters' receivers closed, less than `count` of the
    names are left, and nothing can be acknowledged any more. What was, is on one of those voters; this member has to
    have it, so none of them may be ahead. Only a position that was looked up after the receiver had closed counts.
    """
    if not view.me.tags.may_lead:
        return "promised, but may not lead"
    voters = [name.lower() for name in view.sync.standbys if not _is(name, view.me.name)]
    promised = [a for a in answers if a.name.lower() in voters and _tells(a) and a.promised == view.lock.version]
    for answer in promised:
        if ahead(view, answer) and not answer.nofailover:
            return f"{answer.name} is at {answer.timeline}:{format_lsn(answer.lsn or 0)}"
    counted = [a.name for a in promised if not ahead(view, a)]
    if len(counted) >= view.sync.quorum:
        return None
    heard = ", ".join(counted) or "nobody"
    return f"too few have promised: {heard}, needs {view.sync.quorum} of {', '.join(voters)}"


def ahead(view: View, rival: PeerAnswer) -> bool:
    """Whether a running rival tells a later position than this member's."""
    mine = (view.postgres.timeline or 0, view.postgres.lsn or 0)
    if rival.timeline is None or rival.lsn is None or not rival.running:
        return False
    return (rival.timeline, rival.lsn) > mine


def same_position(view: View, rival: PeerAnswer) -> bool:
    """Whether a running rival tells exactly this member's position."""
    return rival.running and (rival.timeline, rival.lsn) == (view.postgres.timeline, view.postgres.lsn)


def _tells(answer: PeerAnswer) -> bool:
    known = answer.timeline is not None and answer.lsn is not None
    return answer.reachable and answer.running and answer.in_recovery is True and known and answer.certain


def _is(one: str, other: str) -> bool:
    return one.lower() == other.lower()
