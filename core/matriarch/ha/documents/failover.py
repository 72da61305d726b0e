"""Requests for a switchover or a failover: every check, code and text of Patroni's, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from matriarch.ha.documents.edits import Refusal
from matriarch.ha.documents.facts import Facts
from matriarch.ha.documents.wire import text_of
from matriarch.ha.view import MemberView, PeerAnswer, Request, View

Action = Literal["switchover", "failover"]


@dataclass(frozen=True, slots=True)
class FailoverRequest:
    """What was asked for. `leader` given: a switchover. `scheduled_at`: ISO-8601 with a zone, as it goes into the
    failover object; None for now."""

    action: Action
    leader: str | None
    candidate: str | None
    scheduled_at: str | None = None


def read_failover_request(action: Action, body: Mapping[str, Any], facts: Facts) -> FailoverRequest | Refusal:
    """The request in a body, or why it makes no sense whatever the state of the cluster is (400, 422)."""
    leader = text_of(body, "leader")
    candidate = text_of(body, "candidate") or text_of(body, "member")
    scheduled = body.get("scheduled_at") or None
    refusal = _check_words(action, leader, candidate, scheduled, facts)
    if refusal is not None:
        return refusal
    schedule = read_schedule(scheduled, facts.wall, action) if scheduled is not None else None
    if isinstance(schedule, Refusal):
        return schedule
    if facts.settings.pause and candidate is None:
        return Refusal(400, f"{action.title()} is possible only to a specific candidate in a paused state")
    if leader is not None and leader == candidate:
        return Refusal(400, "Switchover target and source are the same")
    # A failover that names the leader is a switchover: the healthy way to do what was asked.
    return FailoverRequest("switchover" if leader else action, leader, candidate, schedule)


def _check_words(
    action: Action, leader: str | None, candidate: str | None, scheduled: object, facts: Facts
) -> Refusal | None:
    if action == "failover" and candidate is None:
        return Refusal(400, "Failover could be performed only to a specific candidate")
    if action == "switchover" and leader is None:
        return Refusal(400, "Switchover could be performed only from a specific leader")
    if scheduled is not None and action == "failover":
        return Refusal(400, "Failover can't be scheduled")
    if scheduled is not None and facts.settings.pause:
        return Refusal(400, "Can't schedule switchover in the paused state")
    return None


def read_schedule(value: object, wall: float, action: str) -> str | Refusal:
    """A time as ISO-8601 in UTC, or why it is none. `wall`: UTC epoch seconds now."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return Refusal(422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601")
    if moment.tzinfo is None:
        return Refusal(400, f"Timezone information is mandatory for the scheduled {action}")
    try:
        late = moment.timestamp() < wall
        text = moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return Refusal(422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601")
    return Refusal(422, f"Cannot schedule {action} in the past") if late else text


def candidates_for(request: FailoverRequest, facts: Facts) -> tuple[MemberView, ...] | Refusal:
    """The members to poll for an immediate request, or why nobody can take over (412).

    Lag and timeline are not judged here: the leader does that with fresh facts when it acts.
    """
    view = facts.view
    leader = view.lock.leader if view is not None else None
    if view is None or (request.leader is not None and request.leader != leader):
        return Refusal(412, "leader name does not match")
    priority_mode = view.settings.synchronous_mode == "on"
    if request.candidate is not None:
        if request.action == "switchover" and priority_mode and not view.sync.lists(request.candidate):
            return Refusal(412, "candidate name does not match with sync_standby")
        members = tuple(member for member in view.members if member.name == request.candidate)
        if not members:
            return Refusal(412, "candidate does not exists")
    elif priority_mode:
        members = _synchronous(view)
        if not members:
            return Refusal(412, f"{request.action} is not possible: can not find sync_standby")
    else:
        members = view.members
    members = tuple(member for member in members if member.name != leader and member.api_url)
    if not members:
        text = f"{request.action} is not possible: cluster does not have members except leader"
        return Refusal(412, text)
    return members


def _synchronous(view: View) -> tuple[MemberView, ...]:
    if view.sync.leader is None:
        return ()
    return tuple(member for member in view.members if member.name != view.lock.leader and view.sync.lists(member.name))


def check_answers(request: FailoverRequest, answers: Iterable[PeerAnswer]) -> Refusal | None:
    """Whether somebody who was polled could take over (412 when nobody)."""
    if any(answer.reachable and answer.running and not answer.nofailover for answer in answers):
        return None
    return Refusal(412, f"{request.action} is not possible: no good candidates have been found")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an immediate request ended."""

    status: int
    text: str


def outcome(request: FailoverRequest, before: str | None, view: View | None) -> Outcome | None:
    """How a request ended, from a view that was taken after it was written; None while it is under way.

    `before`: who held the lock when it was written.
    """
    if view is None:
        return None
    holder = view.lock.leader
    if holder is not None and holder != before:
        return Outcome(200, _success(request, holder))
    if not _is_same(view.request, request) and holder == before:
        return Outcome(503, f"{request.action.title()} failed")
    return None


def timed_out(request: FailoverRequest) -> Outcome:
    """What to say when the time for an answer is up."""
    return Outcome(503, f"{request.action.title()} status unknown")


def _is_same(pending: Request, request: FailoverRequest) -> bool:
    return pending.pending and pending.candidate == request.candidate


def _success(request: FailoverRequest, holder: str) -> str:
    verb = "Switched" if request.action == "switchover" else "Failed"
    if request.candidate in (None, holder):
        return f'Successfully {verb.lower()} over to "{holder}"'
    return f'{verb} over to "{holder}" instead of "{request.candidate}"'
