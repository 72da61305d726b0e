"""What is told to people and programs: phase, members, conditions, and the events that a change of them is worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from msgspec import structs

from matriarch.fleet.actions import Manifest, Note
from matriarch.fleet.member import Member
from matriarch.fleet.stages.health import behind, is_well
from matriarch.fleet.stages.scaling import live_replicas
from matriarch.fleet.stages.step import Step
from matriarch.fleet.view import ClusterView
from matriarch.spec.resource import read_status
from matriarch.spec.status import Condition, MemberStatus, Status
from matriarch.words import labels, names

MIB = 1 << 20
PATIENCE_S = 300.0
"""Seconds after which a pod that is not made, or whose agent has said nothing, is a person's to look into."""
_State = Literal["True", "False"]


@dataclass(frozen=True, slots=True)
class Report:
    """The status to write, and the events of what changed since the last one."""

    status: Status
    notes: tuple[Note, ...]


def report(view: ClusterView, step: Step | None, trouble: tuple[str, ...]) -> Report:
    """The status after this look. `trouble` holds sentences about what a person should see to."""
    old = view.status
    wanted = view.spec.instances if view.spec is not None else max(len(view.members), old.instances)
    ready = sum(1 for member in view.members if member.ready and not member.deleting)
    leader = view.leader
    serving = leader is not None and leader.running
    complete = serving and len(view.members) == wanted and all(is_well(view, one) for one in view.members)
    problems = (*trouble, *_member_problems(view), *(_unmade(view) if step is None else ()))
    conditions = (
        _ready(view, complete, serving, wanted),
        _progressing(view, step),
        _degraded(view, problems, complete, serving, step),
    )
    status = Status(
        observed_generation=view.resource["metadata"].get("generation", 0),
        phase=_phase(view, step, complete, serving, problems),
        primary=view.lock.leader[:253],
        # The last one known: that there was one says that the cluster has data.
        timeline=old.timeline if leader is None or leader.timeline is None else leader.timeline,
        instances=len(view.members),
        ready_instances=ready,
        selector=labels.selector(labels.cluster_labels(view.name)),
        members=tuple(_member(view, one) for one in view.members[:32]),
        conditions=conditions,
        last_switchover=step.switchover if step and step.switchover else old.last_switchover,
    )
    return Report(status, _changes(old, status))


def _member(view: ClusterView, member: Member) -> MemberStatus:
    role = view.role_of(member)
    return MemberStatus(
        name=member.name,
        role=role,
        state=member.state,
        ready=member.ready and not member.deleting,
        timeline=member.timeline,
        lag_mebibytes=_lag(view, member) if member.name != view.lock.leader else None,
        pending_restart=member.pending_restart,
        node=member.node,
    )


def _lag(view: ClusterView, member: Member) -> int | None:
    """MiB behind, as 0 or a power of two: the figure would otherwise change, and be written, at every look."""
    if member.location is None or view.leader is None or view.leader.location is None:
        return None
    mebibytes = behind(view, member) // MIB
    return 1 << (mebibytes - 1).bit_length() if mebibytes > 0 else 0


def joining(view: ClusterView) -> tuple[str, ...]:
    """Members that are being made: their agents have not spoken yet, or they are being initialised or cloned."""
    states = ("", "initializing new cluster", "creating replica")
    return tuple(
        one.name
        for one in view.members
        if one.state in states and not one.stuck and not one.deleting and not _silent(view, one)
    )


def _silent(view: ClusterView, member: Member) -> bool:
    """Whether its agent has never spoken, for longer than a volume and an image take as a rule."""
    return not member.state and (view.age_s(member.made_at) or 0.0) > PATIENCE_S


def _phase(view: ClusterView, step: Step | None, complete: bool, serving: bool, problems: tuple[str, ...]) -> str:
    if not view.spec:
        return "Invalid"
    if step is not None:
        return step.phase
    if not view.lock.initialized and not serving:
        return "Setting up"
    if not serving:
        return "No primary"
    if view.paused:
        return "Paused"
    if not complete and joining(view):
        return "Starting members"
    return "Running" if complete and not problems else "Degraded"


def _ready(view: ClusterView, complete: bool, serving: bool, wanted: int) -> Condition:
    well = sum(1 for member in view.members if is_well(view, member))
    if complete:
        return _condition(view, "Ready", "True", "AllMembersReady", "the primary serves and every replica streams")
    if serving:
        return _condition(view, "Ready", "False", "MembersMissing", f"{well} of {wanted} members are well")
    return _condition(view, "Ready", "False", "NoPrimary", "no member serves as the primary at the moment")


def _progressing(view: ClusterView, step: Step | None) -> Condition:
    if step is None and joining(view):
        return _condition(view, "Progressing", "True", "StartingMembers", f"starting: {', '.join(joining(view))}")
    if step is None:
        return _condition(view, "Progressing", "False", "Settled", "nothing is under way")
    return _condition(view, "Progressing", "True", step.phase.title().replace(" ", ""), step.doing)


def _degraded(
    view: ClusterView, problems: tuple[str, ...], complete: bool, serving: bool, step: Step | None
) -> Condition:
    if view.mistake:
        message = f"the running cluster is left as it is until this is corrected: {view.mistake}"
        return _condition(view, "Degraded", "True", "InvalidSpec", message)
    if problems:
        return _condition(view, "Degraded", "True", "NeedsAttention", "; ".join(problems))
    if view.lock.initialized and not complete and step is None and not joining(view):
        sick = ", ".join(member.name for member in view.members if not is_well(view, member)) or "some are missing"
        return _condition(view, "Degraded", "True", "MembersUnwell" if serving else "NoPrimary", f"members: {sick}")
    return _condition(view, "Degraded", "False", "AsExpected", "nothing needs attention")


def _condition(view: ClusterView, kind: str, state: _State, reason: str, message: str) -> Condition:
    return _since(view.status, view.resource, view.facts.now, Condition(kind, state, reason, message, ""))


def _since(old: Status, resource: Manifest, now: datetime, condition: Condition) -> Condition:
    """A condition whose time moves only with its state."""
    before = next((one for one in old.conditions if one.type == condition.type), None)
    moment = now.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return structs.replace(
        condition,
        reason=condition.reason[:64],
        message=condition.message[:1024],
        last_transition_time=before.last_transition_time if before and before.status == condition.status else moment,
        observed_generation=resource["metadata"].get("generation", 0),
    )


def bewildered(resource: Manifest, now: datetime) -> Report:
    """What is told of a cluster at which the operator itself fails: the last status, and that it is not to be relied
    on. It needs no view, since that may be what fails."""
    old = read_status(resource.get("status"))
    message = "the operator fails at this cluster by an error of its own and leaves it as it is: see the operator's log"
    degraded = _since(old, resource, now, Condition("Degraded", "True", "OperatorError", message, ""))
    others = tuple(one for one in old.conditions if one.type != degraded.type)
    return Report(structs.replace(old, conditions=(*others, degraded)), (Note(degraded.reason, message, warning=True),))


def _member_problems(view: ClusterView) -> tuple[str, ...]:
    said = [f"{member.name}: {problem}" for member in view.members for problem in member.problems]
    stuck = [
        f"pod {member.name} does not start: {member.stuck or 'its agent has said nothing for five minutes'}, see "
        f"`kubectl describe pod {member.name}`"
        for member in view.members
        if member.stuck or (_silent(view, member) and not member.deleting)
    ]
    return (*said[:5], *stuck[:5])


def _unmade(view: ClusterView) -> tuple[str, ...]:
    """Pods that the StatefulSet should have made long ago: a quota, a policy or a priority class is in the way, which
    the API server tells nobody but the StatefulSet's controller."""
    ready = next((one for one in view.status.conditions if one.type == "Ready" and one.status == "False"), None)
    if ready is None or (view.age_s(ready.last_transition_time) or 0.0) <= PATIENCE_S:
        return ()
    present = {member.ordinal for member in view.members}
    missing = [names.member_name(view.name, one) for one in range(live_replicas(view) or 0) if one not in present]
    if not missing:
        return ()
    return (f"not made: pod {', '.join(missing)}, see `kubectl describe statefulset {view.name}`",)


def _changes(old: Status, new: Status) -> tuple[Note, ...]:
    found = []
    if not old.phase:
        found.append(Note("Created", "making the objects of the cluster"))
    if new.primary and old.primary and new.primary != old.primary:
        found.append(Note("PrimaryChanged", f"{new.primary} is the primary now; before, it was {old.primary}"))
    elif new.primary and not old.primary:
        found.append(Note("PrimaryElected", f"{new.primary} is the primary"))
    before = {one.type: one for one in old.conditions}
    for condition in new.conditions:
        earlier = before.get(condition.type)
        if condition.type == "Ready" and condition.status == "True" and (not earlier or earlier.status != "True"):
            found.append(Note("Ready", condition.message))
        if condition.type == "Degraded" and condition.status == "True":
            said = (earlier.status, earlier.message) if earlier else None
            if said != (condition.status, condition.message) and condition.reason in ("InvalidSpec", "NeedsAttention"):
                found.append(Note(condition.reason, condition.message, warning=True))
    return tuple(found)


def changed(old: Status, new: Status) -> bool:
    """Whether the new status is worth a write."""
    return old != new
