"""Switchover and failover requests, from the leader's side. Refusals say why; the words reach the person who asked."""

from __future__ import annotations

from matriarch.ha.actions import ClearRequest, Decision, HandOver, PollPeers
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.polling import fresh_poll
from matriarch.ha.rules.race import sync_active
from matriarch.ha.scheduled import too_late
from matriarch.ha.view import MemberView, PeerAnswer, Poll, View

TRIES = 3
SETTLE_S = 10.0
"""Seconds within which a candidate has to stream, from when the request was seen."""


def answer(view: View) -> Decision | None:
    """Carry a pending request out, refuse it, or have nothing to say."""
    request = view.request
    if not request.pending:
        return None
    if request.candidate in (None, view.me.name) and request.leader != view.me.name:
        done = (ClearRequest(request.version, ""),)
        return Decision(done, Reason.LEADING, "the request is carried out", lead=True, wake_in=0.0)
    if not view.due_request.pending:
        return None
    why = _refusal(view)
    if why is not None:
        return _refuse(view, why)
    if request.scheduled_at is not None and too_late(request.scheduled_at, view):
        return _refuse(view, "the scheduled time is past")
    poll = fresh_poll(view)
    if poll is None:
        return Decision((PollPeers(),), Reason.ASKING_PEERS, "who can take over?", lead=True, wake_in=0.0)
    return _hand_over(view, poll)


def _hand_over(view: View, poll: Poll) -> Decision | None:
    request = view.request
    good = {a.name for a in poll.answers if _fit(view, a)}
    able = [member.name for member in _candidates(view) if member.name in good]
    if not able and _streams(view, _silent(view, poll.answers)):
        # It streams, so it lives: its REST API was only too slow to answer.
        return Decision((PollPeers(),), Reason.ASKING_PEERS, "asking again", lead=True, wake_in=0.3)
    if not able:
        return _refuse(view, _why_nobody(view, poll.answers))
    if view.memory.handovers_kept >= TRIES:
        return _refuse(view, f"{', '.join(able)} did not get the last record in {TRIES} attempts")
    if not _streams(view, able):
        # Only who streams gets the last record. A primary that has just begun is found within moments.
        since = _due_since(view)
        waits = since is None or view.now - since < SETTLE_S
        return None if waits else _refuse(view, f"{', '.join(able)} does not stream")
    if sync_active(view):
        voters = [a for a in poll.answers if a.name in view.sync.standbys]
        if not any(a.name in able for a in voters):
            if not any(_may_be_listed(view, name) for name in able):
                return _refuse(view, f"{', '.join(able)} may not be synchronous: tag nosync")
            # The sync rule prefers the candidate: it will be listed as soon as it has caught up.
            return None
        heard = sum(a.reachable and a.running for a in voters)
        if heard <= view.sync.quorum:
            return _refuse(view, f"only {heard} of {len(voters)} voters answer, and {view.sync.quorum + 1} are needed")
    facts = f"to {request.candidate or 'the best replica'}"
    step = HandOver(request.candidate, view.memory.last_label_change)
    return Decision((step,), Reason.HANDING_OVER, facts, lead=True, wake_in=0.5)


def _may_be_listed(view: View, name: str) -> bool:
    member = view.member(name)
    return member is not None and not member.tags.nosync and member.tags.sync_priority > 0


def _due_since(view: View) -> float | None:
    """When the request was seen, or its time came."""
    seen, at = view.memory.request_seen_at, view.request.scheduled_at
    return seen if seen is None or at is None else max(seen, view.now - (view.wall - at))


def _refusal(view: View) -> str | None:
    request, me = view.request, view.me.name
    if request.leader is not None and request.leader != me:
        return f"leader name does not match: {me} is the leader, not {request.leader}"
    if request.candidate == me:
        return "switchover target and source are the same"
    if request.candidate is not None and view.member(request.candidate) is None:
        return f"candidate does not exist: {request.candidate}"
    if view.settings.pause and request.candidate is None:
        return "switchover is possible only to a specific candidate in a paused state"
    if not view.peers():
        return "cluster does not have members except leader"
    return None


def _candidates(view: View) -> list[MemberView]:
    wanted = view.request.candidate
    return [
        member for member in view.peers() if (wanted is None or member.name == wanted) and not member.tags.nofailover
    ]


def _fit(view: View, answer: PeerAnswer) -> bool:
    if not (answer.reachable and answer.running and answer.in_recovery) or answer.nofailover or answer.lsn is None:
        return False
    if answer.unfit:
        return False
    lag = (view.postgres.lsn or 0) - answer.lsn
    return lag <= view.settings.maximum_lag_on_failover


def _silent(view: View, answers: tuple[PeerAnswer, ...]) -> list[str]:
    asked = {member.name for member in _candidates(view)}
    return [answer.name for answer in answers if answer.name in asked and not answer.reachable]


def _streams(view: View, names: list[str]) -> bool:
    return any(row.name in names and row.state == "streaming" for row in view.postgres.standbys)


def _why_nobody(view: View, answers: tuple[PeerAnswer, ...]) -> str:
    parts = []
    for member in _candidates(view):
        found = next((a for a in answers if a.name == member.name), None)
        if found is None or not found.reachable:
            parts.append(f"{member.name} is not reachable")
        elif not found.running or not found.in_recovery:
            parts.append(f"{member.name} is not a running replica")
        elif found.unfit:
            parts.append(f"{member.name} is unfit: {found.unfit}")
        else:
            parts.append(f"{member.name} lags {(view.postgres.lsn or 0) - (found.lsn or 0)} bytes")
    return "no good candidates have been found: " + ("; ".join(parts) or "every other member has tag nofailover")


def _refuse(view: View, why: str) -> Decision:
    return Decision((ClearRequest(view.request.version, why),), Reason.REFUSING_REQUEST, why, lead=True, wake_in=0.5)
