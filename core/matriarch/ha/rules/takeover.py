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
from matriarch.ha.view import View

CAPABILITY = "takeover"
"""Told in the pod's status: where the leader or a listed standby does not speak it, the TTL is waited out."""
SILENCE_S = 2.0
"""Seconds without a WAL message and without an answer over REST before the leader counts as silent."""
REFUSED_S = 0.4
"""Seconds for which nobody listens at the leader's REST address, its WAL stream being closed, before it counts as gone.
That is more than silence: its machine answers, and says that neither agent nor Postgres is there."""
PEER_HEARD_S = 1.5
"""A peer that had a WAL message from the leader within this time proves that the leader lives."""
POLL_FRESH_S = 0.5
LOOK_S = 0.4
LOOK_CLOSELY_S = 0.15


def takeover(view: View) -> Decision | None:
    """Take a silent leader's lock before its TTL is over; or nothing to say."""
    if not _applies(view):
        return None
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


def _applies(view: View) -> bool:
    lock, postgres = view.lock, view.postgres
    if view.activity is not None or view.settings.pause or not postgres.running or postgres.in_recovery is not True:
        return False
    if lock.leader is None or view.lock_is_mine or not watches_closely(view) or not view.me.tags.may_lead:
        return False
    silent = _silent_for(view) >= SILENCE_S or _gone(view) or _claimed(view)
    return silent and not view.claim_binds and _all_capable(view)


def _claimed(view: View) -> bool:
    return view.promise_binds and view.sync.claim == view.me.name


def _gone(view: View) -> bool:
    since = view.memory.leader_refused_since
    return since is not None and view.now - since >= REFUSED_S and not view.postgres.streaming


def _silent_for(view: View) -> float:
    heard = view.memory.leader_heard_at
    return view.now - heard if heard is not None else 0.0


def _all_capable(view: View) -> bool:
    wanted = {view.lock.holder, *view.sync.standbys}
    return all(CAPABILITY in member.capabilities for member in view.members if member.name in wanted)
