"""Replaces pods whose template changed: replicas first, the most lagged first; then a switchover; the old primary last,
or in place where tags let nobody else lead.

One pod at a time, and only while all others are well. Everything follows from the pods that are seen and the digest
that they carry, so it goes on wherever an operator was killed.
"""

from __future__ import annotations

from matriarch.fleet.actions import Delete, Note
from matriarch.fleet.member import TEMPLATE_HASH, Member
from matriarch.fleet.stages.health import behind, best_candidate, nobody_by_tags, unwell
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import attempt_pause, begin
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec

PHASE = "Rolling update"


def rollout(view: ClusterView, spec: Spec) -> Step | None:
    """The next step of replacing pods; None when every pod has the current template."""
    wanted = _wanted(view)
    old = [member for member in view.members if member.template_hash != wanted]
    if wanted is None or not old or view.paused:
        return None
    if not _template_seen(view):
        return Step(PHASE, "waiting for the StatefulSet controller to see the new template")
    stuck = [member for member in old if member.stuck and not member.deleting and member.name != view.lock.leader]
    if stuck:
        # It does not run and never will with its old template: waiting for it would wait for ever.
        return _replace(stuck[0], f"it is stuck ({stuck[0].stuck})")
    leaving = [member.name for member in view.members if member.deleting]
    if leaving:
        return Step(PHASE, f"waiting for {', '.join(leaving)} to stop")
    if len(view.members) == 1 and spec.instances == 1:
        return _replace(view.members[0], "it is the only member")
    missing = unwell(view, spec.instances)
    if missing:
        return Step(PHASE, f"the next pod waits for {missing}")
    replicas = [member for member in old if member.name != view.lock.leader]
    if replicas:
        return _replace(
            max(replicas, key=lambda member: (behind(view, member), member.ordinal)), "its template changed"
        )
    return _hand_over(view, old[0])


def _wanted(view: ClusterView) -> str | None:
    """The digest in the StatefulSet that exists: a pod deleted now comes back with exactly that template."""
    live = view.own("StatefulSet", view.name)
    if live is None:
        return None
    found = (live["spec"]["template"]["metadata"].get("annotations") or {}).get(TEMPLATE_HASH)
    return str(found) if found else None


def _template_seen(view: ClusterView) -> bool:
    """Whether a pod deleted now would come back with the new template and not with the one before."""
    live = view.own("StatefulSet", view.name) or {}
    seen = (live.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= live.get("metadata", {}).get("generation", 0))


def _hand_over(view: ClusterView, leader: Member) -> Step:
    nobody = nobody_by_tags(view)
    if nobody:
        # To wait for another one would be to wait for ever. Its Postgres restarts, and it leads again.
        return _replace(leader, f"its template changed; the primary is replaced in place, since {nobody}")
    pause = attempt_pause(view)
    if pause > 0:
        return Step(PHASE, f"{leader.name} shall hand over before it is replaced", wake_after_s=pause)
    target = best_candidate(view)
    if target is None:
        return Step(PHASE, f"{leader.name} shall hand over before it is replaced: no member is able to take over")
    return begin(view, target.name, "rollout")


def _replace(member: Member, reason: str) -> Step:
    note = Note("ReplacingPod", f"replacing pod {member.name}: {reason}")
    return Step(PHASE, f"replacing {member.name}: {reason}", (Delete("Pod", member.name, member.uid),), (note,))
