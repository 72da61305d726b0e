"""How many members there are, and what becomes of the volumes of those that are gone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matriarch.fleet.actions import Delete, Manifest, Patch
from matriarch.fleet.render.workload import VOLUME, claim_name
from matriarch.fleet.stages.health import barred, best_candidate, serves
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import attempt_pause, begin
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.spec.quantity import parse_quantity

PHASE = "Scaling"


@dataclass(frozen=True, slots=True)
class Held:
    """How many replicas the StatefulSet is told now, and what holds back a number that is asked for."""

    count: int
    because: str = ""
    """For a person; empty when nothing holds it back."""
    primary_goes: bool = False
    """Whether it is held because the primary is among those that would be removed: it hands over first."""


def replicas(view: ClusterView, spec: Spec) -> Held:
    """What the StatefulSet is told. It removes the highest ordinals first, so a primary among them keeps its place
    until it has handed over; with nobody known to lead, or a leader that does not serve yet, an initialised cluster
    loses no member; and while a switchover is under way, it might be to one of those that go."""
    live = _live_replicas(view)
    if live is None or spec.instances >= live or not view.lock.initialized:
        return Held(spec.instances)
    leader, last = view.leader, view.status.last_switchover
    if leader is None:
        return Held(live, "scaling down waits for a primary")
    if last is not None and last.outcome == "Pending":
        return Held(live, f"scaling down waits for the end of the switchover to {last.to}")
    if leader.ordinal >= spec.instances:
        return Held(live, f"{leader.name} is the primary and would be removed", primary_goes=True)
    if not serves(leader):
        return Held(live, f"scaling down waits until {leader.name} serves as primary")
    return Held(spec.instances)


def _live_replicas(view: ClusterView) -> int | None:
    live = view.own("StatefulSet", view.name)
    return int(live["spec"].get("replicas", 1)) if live is not None else None


def scaling(view: ClusterView, spec: Spec, held: Held) -> Step | None:
    """Hands over when the primary is to be scaled away, and waits for members that come or go."""
    if held.primary_goes:
        return _hand_over(view, spec, held)
    if held.because:
        return Step(PHASE, held.because)
    going = [member.name for member in view.members if member.ordinal >= spec.instances]
    if going and _live_replicas(view) is not None:
        return Step(PHASE, f"removing {', '.join(going)}")
    return None


def _hand_over(view: ClusterView, spec: Spec, held: Held) -> Step:
    if view.paused:
        return Step(PHASE, f"{held.because}: waiting, as the cluster is paused")
    hindered = [barred(view, member) for member in view.members if member.ordinal < spec.instances]
    if hindered and all(hindered):
        return Step(PHASE, f"{held.because}: of those that stay nobody may take over: {'; '.join(hindered)}")
    pause = attempt_pause(view)
    if pause > 0:
        return Step(PHASE, f"{held.because}: it shall hand over first", wake_after_s=pause)
    target = best_candidate(view, below=spec.instances)
    if target is None:
        return Step(PHASE, f"{held.because}: it shall hand over first, and no member is able to take over")
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
