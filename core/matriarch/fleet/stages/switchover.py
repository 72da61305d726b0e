"""Planned changes of the primary: asked for by a person's annotation, or by a procedure of ours.

The request goes through the cluster's failover object, as Patroni's does, and the members carry it
out. Each look takes one step, and which step follows only from what is observed:

1. there is a request: record it in status as Pending, with the time as its id, whatever is to be said of it. From then
   on its outcome is told, even if the annotation has gone and the operator has died since;
2. it is recorded, and the failover object does not carry its id: write it there, or refuse what makes no sense, or what
   the person does not ask for any more;
3. the lock names somebody else: Succeeded. The request is gone and the lock is unchanged: Refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import msgspec

from matriarch.fleet.actions import Action, Note, Patch, swapped
from matriarch.fleet.stages.health import best_candidate, may_lead, serves
from matriarch.fleet.stages.repair import outdated, template_seen
from matriarch.fleet.stages.step import Step
from matriarch.fleet.view import ClusterView
from matriarch.spec.status import SwitchoverStatus
from matriarch.words import labels, names

REQUEST_ID = f"{labels.GROUP}/request"
"""On the failover object: the id of the last request that the operator wrote."""
ANY = "any"
_REQUESTS = (labels.REQUEST_SWITCHOVER,)
"""The annotations that a person may put on a PostgresCluster."""
PHASE = "Switchover in progress"
TIMEOUT_S = 180.0
"""Seconds after which a request that nobody took up is withdrawn. The members bound what they do before a handover's
stop: a minute for `before_stop`, one for the checkpoint."""
PAUSE_BETWEEN_S = 30.0
"""Seconds between two attempts of a procedure of ours."""


def under_way(view: ClusterView) -> Step | None:
    """Follows the recorded request; None when none is pending."""
    pending = view.status.last_switchover
    if pending is None or pending.outcome != "Pending":
        return None
    leader = view.lock.leader
    if leader and pending.origin and leader != pending.origin:
        return _succeeded(view, pending, leader)
    asked = view.child_annotations("Endpoints", names.failover_object(view.name))
    open_request = bool(asked.get("leader") or asked.get("member"))
    if asked.get(REQUEST_ID) != pending.requested_at:
        objection = _objection(view, pending) or _taken_back(view, pending)
        if objection:
            return _finished(view, pending, "Refused", objection)
        return _behind_another(view, pending, asked) if open_request else _write(view, pending)
    if not open_request and leader:
        return _finished(view, pending, "Refused", _refusal(view, asked.get(labels.REFUSED)))
    if open_request and _overdue(view, pending) and _untouched(view):
        withdraw = _patch(view, {"leader": None, "member": None, "scheduled_at": None})
        step = _finished(view, pending, "Refused", f"nobody took the request up within {TIMEOUT_S:.0f} s")
        return replace(step, actions=(*withdraw, *step.actions))
    return Step(PHASE, f"switchover from {pending.origin} to {pending.to} under way", wake_after_s=5.0)


def stalled(view: ClusterView, step: Step) -> bool:
    """Whether this step waits for the end of a request for longer than any handover takes, and nobody serves who could
    bring it about: what is broken may have to be repaired first. The request stays."""
    pending = view.status.last_switchover
    if pending is None or pending.outcome != "Pending" or step.actions or step.switchover is not None:
        return False
    serving = view.leader is not None and serves(view.leader)
    return not serving and _overdue(view, pending)


def _untouched(view: ClusterView) -> bool:
    """Whether the primary serves as if nobody had asked. Once it stops, the request is what lets the candidate take
    over (in a pause it alone does), and nobody must take that away."""
    return view.leader is not None and view.leader.running


def misspelled(view: ClusterView) -> tuple[str, ...]:
    """What a person has to be told of annotations with our prefix that ask for nothing: who meant a request would wait
    for it in vain."""
    ours = sorted(key for key in view.annotations if key.startswith(f"{labels.GROUP}/"))
    known = ", ".join(_REQUESTS)
    return tuple(f"annotation {key} means nothing: use {known}, or remove it" for key in ours if key not in _REQUESTS)


def requested(view: ClusterView) -> Step | None:
    """Takes up a person's annotation; None when there is none."""
    wish = _wish(view)
    return None if wish is None else begin(view, wish, "user")


def _wish(view: ClusterView) -> str | None:
    wanted = view.annotations.get(labels.REQUEST_SWITCHOVER)
    return None if wanted is None else wanted.strip()[:63]


def begin(view: ClusterView, target: str, asker: Literal["user", "rollout", "scaling"]) -> Step:
    """Records a request. Who holds the lock without a pod hands over to nobody: there is no primary then."""
    request = SwitchoverStatus(
        requested_at=view.facts.now.isoformat(),
        requested_by=asker,
        origin=view.leader.name if view.leader is not None else "",
        outcome="Pending",
        to=target,
    )
    return Step(PHASE, f"switchover from {request.origin} to {target} requested", switchover=request)


def hand_over(
    view: ClusterView, asker: Literal["rollout", "scaling"], phase: str, because: str, *, below: int | None = None
) -> Step:
    """For a procedure: asks the best member to take over, of those with an ordinal `below`, or waits until one is able
    to. `because` tells a person why."""
    pause = _attempt_pause(view)
    if pause > 0:
        return Step(phase, because, wake_after_s=pause)
    target = best_candidate(view, below=below)
    if target is None:
        return Step(phase, f"{because}: no member is able to take over")
    return begin(view, target.name, asker)


def _attempt_pause(view: ClusterView) -> float:
    """Seconds until a procedure may try again after its last switchover was refused; 0 when it may now."""
    last = view.status.last_switchover
    if last is None or last.outcome != "Refused" or last.requested_by == "user":
        return 0.0
    age = view.age_s(last.finished_at)
    return 0.0 if age is None else max(0.0, PAUSE_BETWEEN_S - age)


def _behind_another(view: ClusterView, pending: SwitchoverStatus, other: Mapping[str, str]) -> Step:
    """The failover object has a request already. One that is being carried out is waited for: after a switchover the
    new primary takes a moment to clear it. A scheduled one stays, and nothing takes its place unasked."""
    if other.get("scheduled_at"):
        objection = f"one is scheduled for {other['scheduled_at'][:40]}: cancel it first (patronictl flush)"
        return _finished(view, pending, "Refused", objection)
    if _overdue(view, pending):
        return _finished(view, pending, "Refused", "another request is pending in the failover object")
    return Step(PHASE, "waiting for the end of another request in the failover object", wake_after_s=1.0)


def _objection(view: ClusterView, pending: SwitchoverStatus) -> str:
    """Why a person's request makes no sense; empty when it does. Procedures of ours ask for nothing else."""
    if pending.requested_by != "user":
        return ""
    leader, target = view.leader, pending.to
    if leader is None or not pending.origin:
        return "the cluster has no primary at the moment: wait for one"
    if target == ANY:
        if view.paused:
            return "the cluster is paused: name the member that shall take over"
        reasons = [may_lead(view, member) for member in view.members if member is not leader]
        return "" if "" in reasons else "no replica can take over: " + ("; ".join(reasons) or "there is none")
    member = next((one for one in view.members if one.name == target), None)
    if member is None:
        known = ", ".join(one.name for one in view.members)
        return f"there is no member {target!r}: use one of {known}, or {ANY}"
    if view.spec is not None and member.ordinal >= view.spec.instances:
        # It would be asked to hand over again at once.
        return f"{member.name} is about to be scaled away, as instances is {view.spec.instances}"
    return may_lead(view, member)


def _taken_back(view: ClusterView, pending: SwitchoverStatus) -> str:
    """Why a request that the members have not seen yet is dropped: the annotation is gone. It may have been waiting
    behind another one for minutes, and a person who changed their mind has no other way to say so.

    It is gone too when this was refused, and the operator was killed before it could record that.
    """
    if pending.requested_by == "user":
        return "" if _wish(view) is not None else "the annotation was taken away before anything was done"
    return _needless(view, pending)


def _needless(view: ClusterView, pending: SwitchoverStatus) -> str:
    """Why a procedure of ours does not need its switchover any more, since the spec was changed back meanwhile."""
    leader = view.leader
    if leader is None or leader.name != pending.origin or view.spec is None:
        return ""
    if pending.requested_by == "scaling" and leader.ordinal < view.spec.instances:
        return f"{leader.name} is not to be removed any more"
    if pending.requested_by == "rollout" and template_seen(view) and leader not in outdated(view):
        return f"{leader.name} has the current template"
    return ""


def _write(view: ClusterView, pending: SwitchoverStatus) -> Step:
    member = None if pending.to == ANY else pending.to
    keys = {"leader": pending.origin, "member": member, "scheduled_at": None, labels.REFUSED: None}
    actions = _patch(view, {**keys, REQUEST_ID: pending.requested_at})
    return Step(PHASE, f"switchover from {pending.origin} to {pending.to} requested", actions, wake_after_s=5.0)


def _patch(view: ClusterView, annotations: dict[str, str | None]) -> tuple[Patch, ...]:
    live = view.child("Endpoints", names.failover_object(view.name))
    # One that is not there is made again in this very look; the request follows at the next.
    return () if live is None else (swapped("Endpoints", live, {"annotations": annotations}),)


def _succeeded(view: ClusterView, pending: SwitchoverStatus, leader: str) -> Step:
    message = f"switched over from {pending.origin} to {leader}"
    if pending.to not in (ANY, leader):
        message += f" instead of {pending.to}"
    return _finished(view, pending, "Succeeded", message, to=leader)


def _finished(
    view: ClusterView, request: SwitchoverStatus, outcome: Literal["Succeeded", "Refused"], message: str, to: str = ""
) -> Step:
    """Ends a request, and removes the annotation that asked for it; another wish that came meanwhile stays."""
    finished_at = view.facts.now.isoformat()
    done = msgspec.structs.replace(
        request, outcome=outcome, finished_at=finished_at, message=message[:1024], to=to or request.to
    )
    actions: tuple[Action, ...] = ()
    if request.requested_by == "user" and _wish(view) == request.to:
        withdrawn = {"annotations": {labels.REQUEST_SWITCHOVER: None}}
        actions = (swapped("PostgresCluster", view.resource, withdrawn),)
    warning = outcome == "Refused"
    text = f"switchover refused: {message}" if warning else message
    note = Note("SwitchoverRefused" if warning else "SwitchoverSucceeded", text, warning)
    return Step(PHASE, message, actions, (note,), done, wake_after_s=0.0)


def _refusal(view: ClusterView, said: str | None) -> str:
    leader = view.leader
    reason = said or (leader.refusal if leader is not None else "")
    return reason[:300] if reason else "the primary gave the request back: no replica was able to take over"


def _overdue(view: ClusterView, request: SwitchoverStatus) -> bool:
    """Whether it has waited for longer than any handover takes."""
    age = view.age_s(request.requested_at)
    return age is None or age > TIMEOUT_S
