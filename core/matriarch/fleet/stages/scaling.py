"""How many members there are, and what becomes of the volumes of those that are gone."""

from __future__ import annotations

import re

from matriarch.fleet.actions import Delete, Manifest, Patch
from matriarch.fleet.member import Member
from matriarch.fleet.render.workload import VOLUME, claim_name
from matriarch.fleet.stages.health import best_candidate
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import attempt_pause, begin
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.spec.quantity import parse_quantity
from matriarch.words import labels


def replicas(view: ClusterView, spec: Spec) -> int:
    """What the StatefulSet is told. It removes the highest ordinals first, so a primary among them keeps its place
    until it has handed over; with nobody known to lead, or a leader that does not serve yet, an initialised cluster
    loses no member; and while a switchover is under way, it might be to one of those that go."""
    live = _live_replicas(view)
    if live is None or spec.instances >= live:
        return spec.instances
    if not view.lock.initialized:
        return spec.instances
    leader, last = view.leader, view.status.last_switchover
    if leader is None or leader.ordinal >= spec.instances or (last is not None and last.outcome == "Pending"):
        return live
    return spec.instances if _serves(leader) else live


def _serves(leader: Member) -> bool:
    """Whether it is done with its promotion: until then the others may be needed."""
    return leader.running and leader.role in (labels.ROLE_PRIMARY, "standby_leader")


def _live_replicas(view: ClusterView) -> int | None:
    live = view.child("StatefulSet", view.name)
    return int(live["spec"].get("replicas", 1)) if live is not None else None


def scaling(view: ClusterView, spec: Spec) -> Step | None:
    """Hands over when the primary is to be scaled away, and waits for members that come or go."""
    live = _live_replicas(view)
    if live is None:
        return None
    phase = "Scaling"
    if replicas(view, spec) > spec.instances:
        return _hand_over(view, spec, phase)
    going = [member.name for member in view.members if member.ordinal >= spec.instances]
    if going:
        return Step(phase, f"removing {', '.join(going)}")
    return None


def _hand_over(view: ClusterView, spec: Spec, phase: str) -> Step:
    if view.leader is None:
        return Step(phase, "scaling down waits for a primary")
    if view.leader.ordinal < spec.instances:
        return Step(phase, f"scaling down waits until {view.leader.name} serves as primary")
    if view.paused:
        return Step(phase, f"{view.leader.name} is the primary and would be removed: waiting, as the cluster is paused")
    pause = attempt_pause(view)
    if pause > 0:
        return Step(phase, f"{view.leader.name} shall hand over before it is removed", wake_after_s=pause)
    target = best_candidate(view, spec, below=spec.instances)
    if target is None:
        return Step(phase, f"{view.leader.name} shall hand over before it is removed: no member is able to take over")
    return begin(view, target.name, "scaling")


def volumes(view: ClusterView, spec: Spec) -> tuple[Patch | Delete, ...]:
    """Grows claims that are smaller than asked for, and removes those of members scaled away when told so.

    A claim is removed only when the StatefulSet is seen not to need it and its pod is seen to be gone.
    """
    live = _live_replicas(view)
    if live is None:
        return ()
    keep = max(live, spec.instances)
    present = {member.name for member in view.members}
    found: list[Patch | Delete] = []
    pattern = re.compile(rf"\A{VOLUME}-{re.escape(view.name)}-(\d{{1,4}})\Z")
    for (kind, name), claim in sorted(view.children.items()):
        match = pattern.match(name)
        if kind != "PersistentVolumeClaim" or match is None or "deletionTimestamp" in claim["metadata"]:
            continue
        ordinal = int(match[1])
        if ordinal >= keep:
            if spec.storage.reclaim_policy == "Delete" and name.removeprefix(f"{VOLUME}-") not in present:
                found.append(Delete(kind, name, claim["metadata"]["uid"]))
        elif _bound(claim) and _smaller(claim["spec"]["resources"]["requests"]["storage"], spec.storage.size):
            wanted = {"spec": {"resources": {"requests": {"storage": spec.storage.size}}}}
            found.append(Patch(kind, claim_name(view.name, ordinal), wanted))
    return tuple(found)


def _bound(claim: Manifest) -> bool:
    """Only a claim that has its volume can be resized; another gets the size that it was made with first."""
    return bool((claim.get("status") or {}).get("phase") == "Bound")


def _smaller(one: str, other: str) -> bool:
    try:
        return parse_quantity(one) < parse_quantity(other)
    except ValueError:
        return False
