"""The lock is free: may this member take it? (rules 3 and 4)

Synchronous mode: only a member that the sync object lists. With a quorum of 0 each of those has every acknowledged
commit; with a greater one only so many of them together have (rules/votes.py). Asynchronous mode: the most advanced of
all reachable members, not farther than `maximum_lag_on_failover` behind the last known position.
"""

from __future__ import annotations

from collections.abc import Iterable

from matriarch.ha.actions import Acquire, Decision, PollPeers, Release, WriteInitialize
from matriarch.ha.divergence import beside_record
from matriarch.ha.postgres_view import UNFIT_AFTER_S
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.fence import is_sysid
from matriarch.ha.rules.isolation import failsafe_applies
from matriarch.ha.rules.polling import fresh_poll, until_stale
from matriarch.ha.rules.sync import promotion
from matriarch.ha.rules.votes import ahead, ask, in_time, obstacle, same_position, votes_needed
from matriarch.ha.view import PeerAnswer, Poll, View
from matriarch.words.lsn import format_lsn

AGAIN_S = 0.25
STALE_S = 1.0
"""Seconds after which a member looks again whose data is too old, with nothing left to replay."""
ASK_AGAIN_S = 0.5
"""Seconds after which the voters of a quorum are asked again while too few of them answered."""
SETTINGS_LOST = "the cluster's settings are gone, and this member never read them"
POLL_AHEAD_S = 1.5
"""Seconds before a silent lock's expiry at which the peers are asked in advance, so that an unreachable one does not
cost its timeout after the expiry."""


def race(view: View) -> Decision | None:
    """Take the free lock, or say why not. Runs only with Postgres up and in recovery."""
    if view.lock.leader is not None or not view.postgres.running or view.postgres.in_recovery is not True:
        return None
    why = _not_eligible(view)
    if why is not None:
        return Decision((), Reason.NOT_ELIGIBLE, why, wake_in=_until_eligible(view, why))
    needed = votes_needed(view)
    if not needed and view.asked_for and not _history_unknown(view):
        return _take(view, "candidate of the pending request")
    if not needed and _only_listed(view):
        return _take(view, "the only listed synchronous standby")
    poll = fresh_poll(view)
    if poll is None or (needed and not in_time(view, poll)):
        return Decision((ask(view, poll),), Reason.ASKING_PEERS, "the lock is free", wake_in=0.0)
    return _candidate_first(view, poll.answers) or _too_few(view, poll) or _compare(view, poll.answers)


def reconsider(view: View) -> Decision | None:
    """A lock that names this member, taken by a write that landed late: the race that it won may be long over.

    In asynchronous mode the others may have got further meanwhile; then the lock is given back (rule 4). None: it may
    be taken up.
    """
    if sync_active(view) or view.postgres.in_recovery is not True:
        return None
    poll = fresh_poll(view)
    if poll is None:
        return Decision((PollPeers(),), Reason.ASKING_PEERS, "the lock came late", wake_in=0.0)
    further = [a.name for a in poll.answers if a.reachable and not a.nofailover and ahead(view, a)]
    if not further or _forced(view):
        return None
    return Decision((Release(),), Reason.NOT_MOST_ADVANCED, f"{', '.join(further)} got further", wake_in=AGAIN_S)


def poll_ahead(view: View) -> tuple[PollPeers, ...]:
    """Ask the peers shortly before a silent lock expires."""
    left = view.lock.seen_at + view.lock.ttl - view.now
    due = 0 < left < POLL_AHEAD_S and view.lock.holder not in (None, view.me.name)
    return (PollPeers(),) if due and fresh_poll(view) is None else ()


def sync_active(view: View) -> bool:
    """Whether the sync object decides who may be promoted."""
    return view.settings.synchronous and view.sync.leader is not None


def settings_lost(view: View) -> bool:
    """Whether a running cluster's settings have been deleted, and this member never read them: it does not know whether
    commits may be lost, and whether the cluster follows another one. Whoever knows, or the operator, puts them back."""
    return view.listed and not view.config.settings_seen and view.lock.optime is not None


def unlisted(view: View) -> str | None:
    """Why the sync object keeps this member from leading, whether it races or holds the lock already; None when it does
    not (rule 3)."""
    lists = not sync_active(view) or view.sync.lists(view.me.name)
    return None if lists else f"not synchronous with {view.sync.leader}"


def _not_eligible(view: View) -> str | None:
    barred = _barred(view)
    if barred is not None:
        return barred
    if view.claim_binds:
        return f"{view.failsafe.leader} is primary under failsafe"
    if view.postgres.unusable_for is not None and view.postgres.unusable_for > UNFIT_AFTER_S:
        return f"its own Postgres is of no use: {view.postgres.unusable_why}"
    if view.just_handed_over:
        return "just handed over"
    return _stale(view)


def _until_eligible(view: View, why: str) -> float:
    """A record that changes wakes this member; time and its own position do not."""
    if why == _barred(view):
        return view.settings.loop_wait
    all_here = view.postgres.replayed_all and view.postgres.lsn is not None
    return STALE_S if all_here and why == _stale(view) else AGAIN_S


def _barred(view: View) -> str | None:
    """What bars this member as long as the records are what they are."""
    if not view.me.tags.may_lead:
        return "tag nofailover"
    if settings_lost(view):
        return SETTINGS_LOST
    if view.settings.pause and not view.asked_for:
        return "paused"
    if view.settings.failsafe_mode and view.lock.holder and view.lock.failsafe and not failsafe_applies(view):
        return "not in the failsafe topology"
    # Not even when a person names it: they switch synchronous mode off first, and so say that they accept the loss.
    return unlisted(view)


def _stale(view: View) -> str | None:
    timeline, lsn = view.postgres.timeline, view.postgres.lsn
    if timeline is None or lsn is None:
        return "own position unknown"
    newest = _newest_timeline(view)
    if timeline < newest and view.settings.standby_cluster is None:
        return f"timeline {timeline} is older than the cluster's {newest}"
    on_record = beside_record(view)
    if on_record is not None:
        # Rule 5: the others could not tell this data from theirs. Not even when a person names this member.
        return f"led a timeline {view.postgres.led_timeline} beside the one on record, which {on_record} led"
    lag = (view.lock.optime or 0) - lsn
    if lag > view.settings.maximum_lag_on_failover and not sync_active(view) and not _forced(view):
        return f"{lag} bytes behind the last known position"
    return None


def _newest_timeline(view: View) -> int:
    """The cluster's, by the record of it. Where that has been deleted, by what members show and answer: who is promoted
    on an older one takes a number that is in use, and others could not tell its data from what is there (rule 5)."""
    if view.config.timeline:
        return view.config.timeline
    told = [answer.timeline for answer in view.poll.answers] if view.poll is not None else []
    return max(timeline or 0 for timeline in (0, *told, *(member.timeline for member in view.members)))


def _forced(view: View) -> bool:
    """A person named this member in a failover without a leader: they accept the loss."""
    return view.asked_for and view.due_request.leader is None


def _only_listed(view: View) -> bool:
    """Nobody else may be promoted, and the former leader gave the lock up itself, so nobody has to be asked. A lock
    that tells no position was not given up but deleted, or made anew: its leader may be well."""
    released = view.lock.holder is None and view.lock.optime is not None
    if not sync_active(view) or not released or view.due_request.candidate not in (None, view.me.name):
        return False
    others = [name for name in view.sync.standbys if name.lower() != view.me.name.lower()]
    return not others and view.sync.leader != view.me.name


def _candidate_first(view: View, answers: tuple[PeerAnswer, ...]) -> Decision | None:
    request = view.due_request
    if not request.pending or request.candidate is None or request.candidate == view.me.name:
        return None
    answer = next((a for a in answers if a.name == request.candidate), None)
    since = view.memory.unlocked_since
    waited = view.now - (since if since is not None else view.now)
    if answer is None or not answer.reachable or answer.nofailover or waited > view.settings.ttl:
        return None
    if not _may_win(view, answer):
        return None
    facts = f"{request.candidate} was asked for"
    return Decision((), Reason.YIELDING_TO_CANDIDATE, facts, wake_in=until_stale(view, AGAIN_S))


def _too_few(view: View, poll: Poll) -> Decision | None:
    """Quorum mode: somebody who was not heard may have a commit that this member lacks. Ask again soon, everybody."""
    why = obstacle(view, poll.answers)
    if why is None:
        return None
    again = (PollPeers(),) if view.now - poll.at > ASK_AGAIN_S else ()
    return Decision(again, Reason.NOT_ENOUGH_VOTES, why, wake_in=AGAIN_S)


def _compare(view: View, answers: tuple[PeerAnswer, ...]) -> Decision:
    wake = until_stale(view, AGAIN_S)
    alive = [a.name for a in answers if a.reachable and a.running and a.in_recovery is False]
    if alive:
        return Decision((), Reason.PRIMARY_STILL_ALIVE, ", ".join(alive), wake_in=wake)
    if view.lock.deleted_from not in (None, view.me.name) and not _waited(view):
        # It may be about to promote itself under that lock, and answer as a replica still.
        facts = f"the lock was deleted, and {view.lock.deleted_from} may have a lease on it"
        return Decision((), Reason.ASKING_PEERS, facts, wake_in=wake)
    rivals = [a for a in answers if a.reachable and not a.nofailover and not a.empty and not a.beside_record]
    rivals = [a for a in rivals if _may_win(view, a)]
    for rival in rivals:
        if ahead(view, rival):
            facts = f"{rival.name} is at {rival.timeline}:{format_lsn(rival.lsn or 0)}"
            return Decision((), Reason.NOT_MOST_ADVANCED, facts, wake_in=wake)
        favoured = rival.priority > view.me.tags.failover_priority and not rival.handed_over
        if same_position(view, rival) and favoured and not view.asked_for:
            return Decision((), Reason.NOT_MOST_ADVANCED, f"{rival.name} has priority", wake_in=wake)
    silent = [a.name for a in answers if not a.reachable]
    if silent and _history_unknown(view) and (not _waited(view) or _shown_as_primary(view, silent)):
        facts = f"nothing is known of the last leader, and {', '.join(silent)} does not answer"
        return Decision((), Reason.ASKING_PEERS, facts, wake_in=wake)
    return _take(view, "most advanced of the reachable members")


def _may_win(view: View, answer: PeerAnswer) -> bool:
    return not sync_active(view) or view.sync.lists(answer.name)


def _history_unknown(view: View) -> bool:
    """The lock object is new: it tells neither a last holder nor a last position. A laggard could win unseen, and a
    leader that does not answer may still have a lease on the object that was there before."""
    return view.lock.optime is None


def _shown_as_primary(view: View, names: Iterable[str]) -> bool:
    """Whether the lock has been deleted, and the pod of one of them says that it is primary. Cut off, it may go on by
    the word of those that it asks, whom only that lock told; once it has ended for good, its pod is deleted."""
    deleted = view.lock.version is None
    return deleted and any(member.role == "primary" and member.name in names for member in view.members)


def _waited(view: View) -> bool:
    since = view.memory.unlocked_since
    return since is not None and view.now - since >= 2 * view.settings.ttl


def _take(view: View, facts: str) -> Decision:
    on_record = is_sysid(view.config.initialize)
    alone = view.settings.standby_cluster is None
    if not (on_record and alone):
        return Decision((Acquire(view.lock.version),), Reason.TAKING_LOCK, facts, wake_in=0.0)
    steps = (*_proof(view), Acquire(view.lock.version), *promotion(view))
    return Decision(steps, Reason.TAKING_LOCK, facts, wake_in=0.0)


def _proof(view: View) -> tuple[WriteInitialize, ...]:
    """That the settings and the history which this member knows are the present ones: writing `initialize` as it is
    changes nothing, and fails on a record that is old. A watch that is late may hide a whole timeline, or that
    synchronous mode was switched on. A synchronous standby proves as much by its write of the sync object."""
    return () if sync_active(view) else (WriteInitialize(view.config.initialize or "", view.config.version),)
