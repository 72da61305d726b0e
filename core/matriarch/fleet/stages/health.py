"""Which members are well, and who could lead next."""

from __future__ import annotations

from matriarch.fleet.member import UNSCHEDULABLE, Member
from matriarch.fleet.view import ClusterView
from matriarch.words import labels, names


def is_well(view: ClusterView, member: Member) -> bool:
    """Serving; and a replica also streams from somebody."""
    return member.running and (member.name == view.lock.leader or member.streaming)


def serves(leader: Member) -> bool:
    """Whether the leader is done with its promotion: until then the others may be needed."""
    return leader.running and leader.role in (labels.ROLE_PRIMARY, "standby_leader")


def never_initialised(view: ClusterView) -> bool:
    """Whether it is certain that this cluster has never had data: then there is nothing to lose.

    A settings object that is missing, or that was just made anew, proves nothing: members that have data say so, and
    the status keeps the timeline of the last leader.
    """
    known = view.child("Endpoints", names.config_object(view.name)) is not None and not view.lock.initialized
    empty = all(member.role in ("", "uninitialized") for member in view.members)
    return known and empty and view.status.timeline is None


def unwell_replicas(view: ClusterView, instances: int, *, placed: bool = False) -> str:
    """Which replicas with an ordinal below `instances` are not well, and what they do, for a person; empty when all
    are there and well. `placed`: but for those that no node has room for."""
    present = {member.ordinal: member for member in view.members}
    found = []
    for ordinal in range(instances):
        name, member = names.member_name(view.name, ordinal), present.get(ordinal)
        if member is None:
            found.append(f"{name} (missing)")
        elif placed and member.stuck == UNSCHEDULABLE and not member.node:
            continue
        elif name != view.lock.leader and not is_well(view, member):
            found.append(f"{name} ({member.stuck or member.state or 'silent'}, {'' if member.ready else 'not '}ready)")
    return ", ".join(found)


def unwell(view: ClusterView, instances: int) -> str:
    """Whom a careful step has to wait for, for a person; empty when nobody."""
    if view.leader is None:
        return "a primary"
    sick = [member.name for member in view.members if not is_well(view, member)]
    if sick:
        return ", ".join(sick)
    # By their ordinals: one that is about to be scaled away makes up for nobody.
    missing = len(set(range(instances)) - {member.ordinal for member in view.members})
    return f"{missing} missing member(s)" if missing > 0 else ""


def behind(view: ClusterView, member: Member) -> int:
    """Bytes that a member lacks of what the leader has written, by their last words; a silent member is far behind."""
    leader = view.leader
    if member.location is None or leader is None or leader.location is None:
        return 1 << 62
    return max(0, leader.location - member.location)


def may_lead(view: ClusterView, member: Member) -> str:
    """Why this member cannot take over in a planned way now; empty when it can. The members check again themselves."""
    if member.name == view.lock.leader:
        return f"{member.name} is the primary already"
    if not is_well(view, member):
        state = member.state or "unknown"
        return f"{member.name} is not a ready, streaming replica (state {state}, {'' if member.ready else 'not '}ready)"
    return barred(view, member)


def barred(view: ClusterView, member: Member) -> str:
    """Why its tags keep this member from taking over in a planned way; empty when they do not.

    The members go by the same rules (ha/rules/requests.py): whom they would refuse is not worth an attempt.
    """
    tags = next((one for one in (view.spec.tags if view.spec else ()) if one.ordinal == member.ordinal), None)
    if view.spec is None or tags is None:
        return ""
    if tags.no_failover or tags.failover_priority == 0:
        return f"{member.name} may not be promoted (tag noFailover, or failoverPriority 0)"
    if (tags.no_sync or tags.sync_priority == 0) and view.spec.synchronous.enabled and view.lock.sync.leader:
        # Only who is synchronous may be promoted, and it is never made so, not even for a request.
        return f"{member.name} may not be synchronous (tag noSync, or syncPriority 0)"
    source = next((one for one in view.members if one.ordinal == tags.replicate_from), None)
    if source is not None and source.name not in (member.name, view.lock.leader) and source.streaming:
        # Only who streams from the primary itself is certain to get its last record.
        return f"{member.name} streams from {source.name} (tag replicateFrom)"
    return ""


def nobody_by_tags(view: ClusterView) -> str:
    """Why nobody but the leader may ever lead, when tags bar every other member; empty when somebody may."""
    reasons = [barred(view, member) for member in view.members if member.name != view.lock.leader]
    return "; ".join(reasons) if all(reasons) else ""


def synchronous(view: ClusterView) -> frozenset[str]:
    """The replicas that the present leader's commits wait for: for all of them, or in quorum mode for enough."""
    sync = view.lock.sync
    return frozenset(sync.standbys if sync.leader == view.lock.leader else ())


def best_candidate(view: ClusterView, *, below: int | None = None) -> Member | None:
    """The most advanced member that may lead; `below` keeps to ordinals under that number.

    The one that was asked for in vain the last time comes last: for what hinders it, another may be free of.
    """
    able = [
        member for member in view.members if (below is None or member.ordinal < below) and not may_lead(view, member)
    ]
    listed, last = synchronous(view), view.status.last_switchover
    failed = last.to if last is not None and last.outcome == "Refused" else ""
    return min(
        able,
        key=lambda one: (one.name == failed, one.name not in listed, behind(view, one), one.ordinal),
        default=None,
    )
