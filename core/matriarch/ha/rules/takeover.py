"""The fast failover of a synchronous cluster: the TTL of a silent leader need not be waited out (rule 3).

Every listed standby acknowledges every commit. A listed standby that has closed its WAL receiver therefore stops the
old primary from acknowledging anything, wherever that primary is and whomever it can still reach. What remains is a
primary that drops its lost standby from the synchronous set; it can do that only through the sync object, so:

1. *Promise* on the lock's version as seen: receiver closed, failsafe claims of that primary refused. A promise ends
   when the lock's version has moved on, and only then.
2. *Claim* the sync object by compare-and-swap on the version that lists this member.
3. *Take* the lock by compare-and-swap on the very version of the promise.

A primary that meets a claim renews the lock first, which voids the promise, and overrides the claim only then
(rules/sync.py). So either the renewal comes before the take, which then fails, or the take comes first, and the
renewal tells the primary that it has lost. tests/model checks every interleaving.
"""

from __future__ import annotations

from matriarch.ha.actions import Acquire, Claim, Decision, PollPeers, Promise
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.polling import fresh_poll
from matriarch.ha.rules.race import sync_active
from matriarch.ha.rules.upstream import leader_pod_gone
from matriarch.ha.view import View

CAPABILITY = "takeover"
"""Told in the pod's status: where the leader or a listed standby does not speak it, the TTL is waited out."""
SILENCE_S = 2.0
"""Seconds without a WAL message and without an answer over REST before the leader counts as silent."""
GONE_S = 0.2
"""Seconds, its WAL stream being closed, for which nobody listens at the leader's REST address or its pod is deleted,
before it counts as gone. That is more than silence: its machine answers that neither agent nor Postgres is there, or
the API server that its pod is not."""
PEER_HEARD_S = 1.5
"""A peer that had a WAL message from the leader within this time proves that the leader lives."""
POLL_FRESH_S = 0.5
LOOK_S = 0.4
LOOK_CLOSELY_S = 0.1


def takeover(view: View) -> Decision | None:
    """Take a silent leader's lock before its TTL is over; or nothing to say."""
    if not _applies(view):
        return None
    if not (_silent_for(view) >= SILENCE_S or _gone(view) or _claimed(view)):
        # Not yet. But its address may be a new pod's already, and to ask there would take time that is not there.
        soon = leader_pod_gone(view) and not view.postgres.streaming and view.memory.starved_since is not None
        facts = f"the pod of {view.lock.holder} is gone"
        return Decision((), Reason.TAKING_OVER, facts, wake_in=next_look(view)) if soon else None
    if _claimed(view) and view.lock.version is not None:
        return Decision((Acquire(view.lock.version),), Reason.TAKING_OVER, "promised and claimed", wake_in=0.0)
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
    steps = (Promise(version), Claim(view.sync.version), Acquire(version))
    facts = f"{view.lock.holder} is silent for {_silent_for(view):.1f} s and cannot commit without this member"
    return Decision(steps, Reason.TAKING_OVER, facts, wake_in=0.0)


def watches_closely(view: View) -> bool:
    """Whether this member has to know within fractions of a second that the leader fell silent: it has every commit,
    and could take over. Not so where a quorum decides."""
    if not sync_active(view) or view.sync.quorum > 0:
        return False
    return view.me.name in view.sync.standbys and view.sync.leader == view.lock.holder


def next_look(view: View) -> float:
    """Seconds until a member that watches the leader closely has to look again."""
    moments = [moment for moment in (view.memory.leader_refused_since, view.memory.starved_since) if moment is not None]
    due = [moment + GONE_S - view.now for moment in moments]
    return min([LOOK_CLOSELY_S if moments else LOOK_S, *(left for left in due if left > 0)])


def _applies(view: View) -> bool:
    lock, postgres = view.lock, view.postgres
    if view.activity is not None or view.settings.pause or not postgres.running or postgres.in_recovery is not True:
        return False
    if lock.leader is None or view.lock_is_mine or not watches_closely(view) or not view.me.tags.may_lead:
        return False
    return not view.claim_binds and _all_capable(view)


def _claimed(view: View) -> bool:
    return view.promise_binds and view.sync.claim == view.me.name


def _gone(view: View) -> bool:
    if view.postgres.streaming:
        return False
    refused, lost = view.memory.leader_refused_since, view.memory.starved_since
    if refused is not None and view.now - refused >= GONE_S:
        return True
    return leader_pod_gone(view) and lost is not None and view.now - lost >= GONE_S


def _silent_for(view: View) -> float:
    heard = view.memory.leader_heard_at
    return view.now - heard if heard is not None else 0.0


def _all_capable(view: View) -> bool:
    others = [member for member in view.members if member.name in view.sync.standbys]
    return _holder_capable(view) and all(CAPABILITY in member.capabilities for member in others)


def _holder_capable(view: View) -> bool:
    """What the pod that took the lock told. A new pod of that name says nothing about it, and an unknown one is not
    capable."""
    holder, uid = view.member(view.lock.holder), view.lock.address_uid
    if holder is not None and (uid is None or holder.pod_uid in (None, uid)):
        return CAPABILITY in holder.capabilities
    return uid is not None and view.memory.capable_pod == uid
