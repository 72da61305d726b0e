"""Replaces pods whose template changed: replicas first, the most lagged first; then a switchover; the old primary last,
or in place where tags let nobody else lead.

One pod at a time, and only while all others are well; those that only the new template will cure come before all
(stages/repair.py). Everything follows from the pods that are seen and the digest that they carry, so it goes on
wherever an operator was killed.
"""

from __future__ import annotations

from matriarch.fleet.member import Member
from matriarch.fleet.stages.health import behind, is_well, nobody_by_tags, unwell
from matriarch.fleet.stages.repair import PHASE, at_work, outdated, repair, replacing, template_seen
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import hand_over
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec


def rollout(view: ClusterView, spec: Spec) -> Step | None:
    """The next step of replacing pods; None when every pod has the current template."""
    old = outdated(view)
    if not old or view.paused:
        return None
    if not template_seen(view):
        return Step(PHASE, "waiting for the StatefulSet controller to see the new template")
    repaired = repair(view, spec)
    if repaired is not None:
        return repaired
    leaving = [member.name for member in view.members if member.deleting]
    if leaving:
        return Step(PHASE, f"waiting for {', '.join(leaving)} to stop")
    if len(view.members) == 1 and spec.instances == 1:
        return _replace_only(view.members[0])
    missing = unwell(view, spec.instances)
    if missing:
        return Step(PHASE, f"the next pod waits for {missing}{_way_out(view, old)}")
    replicas = [member for member in old if member.name != view.lock.leader]
    if replicas:
        most_lagged = max(replicas, key=lambda member: (behind(view, member), member.ordinal))
        return replacing(most_lagged, "its template changed")
    return _replace_leader(view, old[0])


def _replace_only(member: Member) -> Step:
    """There is nobody to wait for, but what would begin anew: a restored backup may be hours old by now."""
    if at_work(member):
        waits = f"{member.name} is replaced when it is done ({member.state}); a pod that is deleted begins anew"
        return Step(PHASE, f"{waits}, with the new template")
    return replacing(member, "it is the only member")


def _way_out(view: ClusterView, old: list[Member]) -> str:
    """What a person can do about a member that is waited for although the new template might cure it."""
    sick = [f"{one.name} ({one.state or 'silent'})" for one in old if not is_well(view, one)]
    return f"; still with the old template: {', '.join(sick)}, a pod that is deleted gets the new one" if sick else ""


def _replace_leader(view: ClusterView, leader: Member) -> Step:
    nobody = nobody_by_tags(view)
    if nobody:
        # To wait for another one would be to wait for ever. Its Postgres restarts, and it leads again.
        return replacing(leader, f"its template changed; the primary is replaced in place, since {nobody}")
    return hand_over(view, "rollout", PHASE, f"{leader.name} shall hand over before it is replaced")
