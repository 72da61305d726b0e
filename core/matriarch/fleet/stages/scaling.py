"""How many members there are, and what becomes of the volumes of those that are gone."""

from __future__ import annotations

from dataclasses import dataclass

from matriarch.fleet.actions import Delete, Manifest, Patch
from matriarch.fleet.render.workload import claim_name
from matriarch.fleet.stages.claims import CLAIM, claims
from matriarch.fleet.stages.health import (
    barred,
    is_well,
    never_initialised,
    serves,
    synchronous,
    unwell,
    unwell_replicas,
)
from matriarch.fleet.stages.repair import repair
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import hand_over
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import MAX_INSTANCES, Spec
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
    """What the StatefulSet is told. It removes the highest ordinals first, so an initialised cluster loses no member
    while

    * nobody leads, or the leader does not serve yet, or a switchover is under way: it might be to one of those that go;
    * a replica that stays is not well: those that go may be the only ones to have what was committed. Whether those
      that go are well does not matter: a member that is broken for good can be scaled away. Nor does one that stays and
      that no node has room for, as long as others that stay have all: those that go may be what takes its place;
    * the primary is among those that go: it hands over first;
    * a member was asked to restart, which it may not show yet.
    """
    live = live_replicas(view)
    if live is None:
        # Deleted by somebody, maybe without its pods: made again with fewer, it would remove the others at once.
        live = max((one.ordinal + 1 for one in view.members if one.ordinal < MAX_INSTANCES), default=0)
    if spec.instances >= live or never_initialised(view):
        return Held(spec.instances)
    leader, last = view.leader, view.status.last_switchover
    if leader is None:
        return Held(live, "scaling down waits for a primary")
    if last is not None and last.outcome == "Pending":
        return Held(live, f"scaling down waits for the end of the switchover to {last.to}")
    sick = unwell_replicas(view, spec.instances, placed=_others_have_all(view, spec))
    if sick:
        return Held(live, f"scaling down waits until what stays is well: {sick}; to end the wait raise instances again")
    if leader.ordinal >= spec.instances:
        return Held(live, f"{leader.name} is the primary and would be removed", primary_goes=True)
    if view.facts.restarting:
        return Held(live, f"scaling down waits until {view.facts.restarting} has restarted")
    if not serves(leader):
        return Held(live, f"scaling down waits until {leader.name} serves as primary")
    return Held(spec.instances)


def _others_have_all(view: ClusterView, spec: Spec) -> bool:
    """Whether the commits are safe without the members that no node has room for: a replica that stays is synchronous
    and well; in an asynchronous cluster the primary stays and serves."""
    leader = view.leader
    if not spec.synchronous.wire_mode:
        return leader is not None and leader.ordinal < spec.instances and serves(leader)
    staying = (one for one in view.members if one.ordinal < spec.instances and one is not leader)
    return any(one.name in synchronous(view) and is_well(view, one) for one in staying)


def live_replicas(view: ClusterView) -> int | None:
    """What the StatefulSet that exists is told; None when there is none."""
    live = view.own("StatefulSet", view.name)
    return int(live["spec"].get("replicas", 1)) if live is not None else None


def scaling(view: ClusterView, spec: Spec, held: Held) -> Step | None:
    """Hands over when the primary is to be scaled away, and waits for members that come or go."""
    if held.primary_goes:
        return _release_leader(view, spec, held)
    if held.because:
        # What it waits for may be a pod that only its new template will cure.
        return repair(view, spec) or Step(PHASE, held.because)
    going = [member.name for member in view.members if member.ordinal >= spec.instances]
    live = live_replicas(view)
    if going and live is not None:
        # The StatefulSet is told nothing before they are there (stages/objects.py).
        waits = view.facts.missing and live > spec.instances
        return Step(PHASE, f"removing {', '.join(going)}{' waits for what spec.restApi names' if waits else ''}")
    return None


def _release_leader(view: ClusterView, spec: Spec, held: Held) -> Step:
    if view.paused:
        return Step(PHASE, f"{held.because}: waiting, as the cluster is paused")
    hindered = [barred(view, member) for member in view.members if member.ordinal < spec.instances]
    if hindered and all(hindered):
        return Step(PHASE, f"{held.because}: of those that stay nobody may take over: {'; '.join(hindered)}")
    return hand_over(view, "scaling", PHASE, f"{held.because}, so it shall hand over first", below=spec.instances)


def volumes(view: ClusterView, spec: Spec) -> tuple[Patch | Delete, ...]:
    """Grows claims that are smaller than asked for, and removes those of members scaled away when told so.

    A claim is removed only when the StatefulSet is seen not to need it, its pod is seen to be gone, and all members
    that are left are well. One that is older than the PostgresCluster is never removed here, see `kept_volumes`.
    """
    live = live_replicas(view)
    if live is None:
        return ()
    found: list[Patch | Delete] = []
    for ordinal, claim in claims(view):
        if ordinal < max(live, spec.instances) and _grows(claim, spec.storage.size):
            wanted = {"spec": {"resources": {"requests": {"storage": spec.storage.size}}}}
            found.append(Patch(CLAIM, claim_name(view.name, ordinal), wanted))
    if not unwell(view, spec.instances) and view.leader is not None and serves(view.leader):
        removed = [claim["metadata"] for claim in _leftovers(view, spec) if not _older(view, claim)]
        found.extend(Delete(CLAIM, metadata["name"], metadata["uid"]) for metadata in removed)
    return tuple(found)


def kept_volumes(view: ClusterView, spec: Spec) -> tuple[str, ...]:
    """What a person should know of volumes that are to be removed and were there before this PostgresCluster.

    A cluster that was made again on kept volumes, with fewer members than before, never had those of the others: the
    newest commits may be there.
    """
    older = [str(claim["metadata"]["name"]) for claim in _leftovers(view, spec) if _older(view, claim)]
    if not older:
        return ()
    told = f"kept volumes of {len(older)} more member(s) exist, from before this PostgresCluster: {', '.join(older)}"
    return (f"{told}; delete them by hand, or raise instances",)


def _leftovers(view: ClusterView, spec: Spec) -> list[Manifest]:
    """Claims that no member needs any more, where the spec wants such claims to go."""
    if spec.storage.reclaim_policy != "Delete":
        return []
    keep = max(live_replicas(view) or 0, spec.instances)
    present = {member.ordinal for member in view.members}
    return [claim for ordinal, claim in claims(view) if ordinal >= keep and ordinal not in present]


def _older(view: ClusterView, claim: Manifest) -> bool:
    """Whether the claim was there before the PostgresCluster; both times are the API server's. Unknown counts as so."""
    born = view.resource["metadata"].get("creationTimestamp")
    made = claim["metadata"].get("creationTimestamp")
    return not born or not made or made < born


def _grows(claim: Manifest, size: str) -> bool:
    """Only a claim that has its volume can be resized; another gets the size that it was made with first."""
    bound = (claim.get("status") or {}).get("phase") == "Bound"
    return bound and _smaller(claim["spec"]["resources"]["requests"]["storage"], size)


def _smaller(one: str, other: str) -> bool:
    try:
        return parse_quantity(one) < parse_quantity(other)
    except ValueError:
        return False
