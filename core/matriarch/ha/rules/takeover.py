"""The fast failover of a synchronous cluster: the TTL of a silent leader need not be waited out (rule 3).

A commit of the old primary needs standbys. When so many of them have closed their WAL receivers that the rest are too
few, it can acknowledge nothing, wherever it is and whomever it can still reach: with a quorum of 0 one listed standby
is enough, else any quorum + 1 of the voters are (rules/votes.py has the arithmetic). What remains is a primary that
drops its lost standbys from the synchronous set; it can do that only through the sync object, so:

1. *Promise* on the lock's version as seen: receiver closed, failsafe claims of that primary refused. A promise ends
   when the lock's version has moved on, and only then, also when the agent or Postgres starts anew meanwhile. Others
   read it, and the position after the receiver was closed, from `GET /patroni`. In quorum mode enough others have to
   have promised on the very same version, none of them ahead of this member.
2. *Claim* the sync object by compare-and-swap on the version that lists this member, and whose quorum was counted; in
   each round anew, since an override of an older claim may be under way.
3. *Take* the lock by compare-and-swap on the very version of the promise.

A primary that meets a claim renews the lock first, which voids the promises, and overrides the claim only then
(rules/sync.py). So either the renewal comes before the take, which then fails, or the take comes first, and the
renewal tells the primary that it has lost. tests/model explores every interleaving within bounds that it states.
"""

from __future__ import annotations

from matriarch.ha.actions import Acquire, Claim, Decision, PollPeers, Promise
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.polling import fresh_poll
from matriarch.ha.rules.upstream import leader_pod_gone
from matriarch.ha.rules.votes import short_of_promises
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import LockView, Poll, SyncView, View

CAPABILITY = "takeover"
"""Told in the pod's status: where the leader or a listed standby does not speak it, the TTL is waited out."""
QUORUM_CAPABILITY = "promise"
"""The same where a quorum decides: promises are told, and outlive the agent."""
ASK_AFTER_S = 0.9
"""Seconds without a WAL message after which a synchronous standby asks the leader over REST whether it lives."""
SILENCE_S = 2.0
"""Seconds without a WAL message and without an answer over REST before the leader counts as silent."""
GONE_S = 0.2
"""Seconds, its WAL stream being closed, for which nobody listens at the leader's REST address before it counts as gone.
That is more than silence: its machine answers that neither agent nor Postgres is there."""
POD_GONE_S = 0.1
"""The same where its pod is deleted: what ended the stream may be a handover, whose release comes in the same moment,
or not at all: with the pod its credentials end, which the API server remembers for some seconds only."""
PEER_HEARD_S = 1.5
"""A peer that had a WAL message from the leader within this time proves that the leader lives."""
POLL_FRESH_S = 0.5
PROMISES_FRESH_S = 0.2
"""How old the others' promises may be, in seconds, before they are asked again while there are too few."""
REFUSED_AGAIN_S = 0.5
"""Seconds after which a version is tried again on which the API server refused a claim or a take: in truth it is older
than what is there, so nothing but a newer one will do, and whoever cannot see it yet would only ask in vain."""
LOOK_S = 0.4
LOOK_CLOSELY_S = 0.1


def takeover(view: View) -> Decision | None:
    """Take a silent leader's lock before its TTL is over; or nothing to say."""
    if not _applies(view):
        return None
    if not (_silent_for(view) >= SILENCE_S or _gone(view)):
        # Not yet. But its address may be a new pod's already, and to ask there would take time that is not there.
        soon = leader_pod_gone(view) and not view.postgres.streaming and view.memory.starved_since is not None
        facts = f"the pod of {view.lock.holder} is gone"
        return Decision((), Reason.TAKING_OVER, facts, wake_in=next_look(view)) if soon else None
    if _refused_on_these(view):
        facts = f"the records have moved on from version {view.memory.refused_version}, which is the newest seen here"
        wait = view.memory.refused_at + REFUSED_AGAIN_S - view.now
        return Decision((), Reason.TAKING_OVER, facts, wake_in=wait)
    poll = fresh_poll(view)
    if poll is None or view.now - poll.at > POLL_FRESH_S:
        ask = PollPeers(skip=(view.lock.holder or "",))
        return Decision((ask,), Reason.ASKING_PEERS, f"{view.lock.holder} is silent", wake_in=0.0)
    hearing = [a.name for a in poll.answers if a.heard_age is not None and a.heard_age < PEER_HEARD_S]
    answers = [a.name for a in poll.answers if a.name == view.lock.holder and a.reachable]
    if hearing or answers or view.lock.version is None or view.sync.version is None:
        facts = f"{', '.join(hearing or answers)} proves that {view.lock.holder} lives"
        return Decision((), Reason.PRIMARY_STILL_ALIVE, facts, wake_in=LOOK_S)
    version = view.lock.version
    if view.sync.quorum:
        return _with_a_quorum(view, poll, version, view.sync.version)
    steps = (Promise(version), Claim(view.sync.version), Acquire(version, view.sync.listed))
    facts = f"{view.lock.holder} is silent for {_silent_for(view):.1f} s and cannot commit without this member"
    return Decision(steps, Reason.TAKING_OVER, facts, wake_in=0.0)


def watches_closely(view: View) -> bool:
    """Whether this member has to know within fractions of a second that the leader fell silent."""
    return relies_on(view.settings, view.sync, view.lock, view.me.name)


def relies_on(settings: ClusterSettings, sync: SyncView, lock: LockView, name: str) -> bool:
    """Whether the commits of the lock's holder wait for this member."""
    return settings.synchronous and sync.leader is not None and sync.leader == lock.holder and name in sync.standbys


def _with_a_quorum(view: View, poll: Poll, version: str, listed_at: str) -> Decision:
    """Promise; then count the others' promises, with this member's own position as it is since the receiver closed."""
    silent = (view.lock.holder or "",)
    if view.promise_kept is None:
        facts = f"{view.lock.holder} is silent for {_silent_for(view):.1f} s"
        return Decision((Promise(version), PollPeers(skip=silent)), Reason.TAKING_OVER, facts, wake_in=0.0)
    short = short_of_promises(view, poll.answers)
    if short is not None:
        again = (PollPeers(skip=silent),) if view.now - poll.at > PROMISES_FRESH_S else ()
        return Decision(again, Reason.NOT_ENOUGH_VOTES, short, wake_in=LOOK_CLOSELY_S)
    steps = (Claim(listed_at), Acquire(version, view.sync.listed))
    facts = f"{view.lock.holder} cannot commit without those who promised"
    return Decision(steps, Reason.TAKING_OVER, facts, wake_in=0.0)


def next_look(view: View) -> float:
    """Seconds until a member that watches the leader closely has to look again, if nothing wakes it."""
    refused, lost = view.memory.leader_refused_since, view.memory.starved_since
    moments = [moment for moment in (refused and refused + GONE_S, lost and lost + POD_GONE_S) if moment is not None]
    if moments:
        return min([LOOK_CLOSELY_S, *(moment - view.now for moment in moments if moment > view.now)])
    age = view.postgres.heard_age
    if view.postgres.streaming and age is not None and age < ASK_AFTER_S:
        # The silence of the stream is told when it comes.
        return view.settings.loop_wait
    silent = _silent_for(view)
    return min((after - silent for after in (ASK_AFTER_S, SILENCE_S) if after > silent), default=LOOK_S)


def _applies(view: View) -> bool:
    lock, postgres = view.lock, view.postgres
    if view.activity is not None or view.settings.pause or not postgres.running or postgres.in_recovery is not True:
        return False
    if lock.leader is None or view.lock_is_mine or not watches_closely(view):
        return False
    if not view.sync.quorum and not view.me.tags.may_lead:
        return False
    if lock.failsafe and view.me.name not in lock.failsafe:
        # The leader would not ask this member for leave to go on, and so would not be refused.
        return False
    return not view.claim_binds and _all_capable(view)


def _gone(view: View) -> bool:
    if view.postgres.streaming:
        return False
    refused, lost = view.memory.leader_refused_since, view.memory.starved_since
    if refused is not None and view.now - refused >= GONE_S:
        return True
    # With a promise given it is this member that hears no more.
    long = view.promise_kept is not None or (lost is not None and view.now - lost >= POD_GONE_S)
    return leader_pod_gone(view) and long


def _refused_on_these(view: View) -> bool:
    """A claim or a take was refused a moment ago, and the record on which it was is the newest that this member has
    seen. A watch that is late shows it for seconds, and a claim that gets through wakes this member each time."""
    just_now = view.now - view.memory.refused_at < REFUSED_AGAIN_S
    return just_now and view.memory.refused_version in (view.lock.version, view.sync.version)


def _silent_for(view: View) -> float:
    heard = view.memory.leader_heard_at
    return view.now - heard if heard is not None else 0.0


def _all_capable(view: View) -> bool:
    needed = QUORUM_CAPABILITY if view.sync.quorum else CAPABILITY
    others = [member for member in view.members if member.name in view.sync.standbys]
    return _holder_capable(view, needed) and all(needed in member.capabilities for member in others)


def _holder_capable(view: View, needed: str) -> bool:
    """What the pod that took the lock told. A new pod of that name says nothing about it, and an unknown one is not
    capable."""
    holder, uid = view.member(view.lock.holder), view.lock.address_uid
    if holder is not None and (uid is None or holder.pod_uid in (None, uid)):
        return needed in holder.capabilities
    return uid is not None and view.memory.capable_pod == uid
