"""Whom a replica follows and copies from, and where that member's Postgres listens."""

from __future__ import annotations

from matriarch.ha.view import MemberView, Upstream, View

PATIENCE_S = 5.0
"""Seconds without WAL from the member that `replicatefrom` names, after which the leader is asked for it."""


def upstream_of(member: MemberView | None) -> Upstream | None:
    """The address of a member's Postgres; None while it has none."""
    if member is None or not member.pod_ip:
        return None
    return Upstream(member.name, member.pod_ip)


def leader_upstream(view: View) -> Upstream | None:
    """The leader as an upstream; never this member itself."""
    leader = view.lock.leader
    if leader is None or leader == view.me.name:
        return None
    return upstream_of(view.member(leader))


def leader_pod_gone(view: View) -> bool:
    """The pod that took the lock is deleted: there is none of its name, or another one. Its processes may live on for
    some seconds, and its address is what they have."""
    holder, uid = view.member(view.lock.holder), view.lock.address_uid
    return uid is not None and (holder is None or holder.pod_uid not in (None, uid))


def waits_for_leader(view: View) -> bool:
    """In a standby cluster nobody follows the leader before it follows the remote: a leader that was primary may have
    to be rewound first, and whoever streamed from it meanwhile would not be judged again (rule 5)."""
    leader = view.member(view.lock.leader)
    if view.settings.standby_cluster is None or leader is None:
        return False
    return not (leader.role == "standby_leader" and leader.streaming)


def remote_upstream(view: View) -> Upstream | None:
    """The other cluster's primary, in a standby cluster; None when there is nobody to follow."""
    other = view.settings.standby_cluster
    if other is None or not other.host:
        return None
    return Upstream(f"{other.host}:{other.port}", other.host, other.port, remote=True, slot=other.slot)


def stream_source(view: View, leader: Upstream) -> Upstream:
    """Whom to stream from while `leader` leads: the member that the tag `replicatefrom` names, as long as it streams
    the leader's timeline itself, else the leader. Data that diverged is thus never handed on (rule 5)."""
    wanted = view.member(view.me.tags.replicatefrom)
    if wanted is None or wanted.name in (view.me.name, leader.member):
        return leader
    starved = view.memory.starved_since
    patient = starved is None or view.now - starved < PATIENCE_S
    fit = patient and _streams_with(view, wanted) and _ends_at_leader(view, wanted)
    return (upstream_of(wanted) or leader) if fit else leader


def copy_source(view: View, leader: Upstream) -> Upstream:
    """Whom to copy data from while `leader` leads: the first member with the tag `clonefrom` that streams, to spare the
    leader. The leader itself after a copy that failed, since a new member must not wait for a broken source; and while
    the sync object lists this member, since the copy must not be older than what it has acknowledged (rule 3)."""
    asked = view.memory.reinitialize_from_leader or view.sync.lists(view.me.name)
    if leader.remote or view.memory.clones_failed % 2 == 1 or asked:
        return leader
    for member in view.peers():
        source = upstream_of(member)
        if member.tags.clonefrom and member.name != leader.member and source and _streams_with(view, member):
            return source
    return leader


def _streams_with(view: View, member: MemberView) -> bool:
    leader = view.member(view.lock.leader)
    same = leader is not None and leader.timeline is not None and leader.timeline == member.timeline
    return same and member.streaming and member.state == "running"


def _ends_at_leader(view: View, member: MemberView) -> bool:
    """Whether the chain of sources that begins with `member` comes to an end, without this member in it: two that
    stream from each other would both seem to be healthy for ever."""
    seen = {view.me.name}
    at: MemberView | None = member
    while at is not None and at.name != view.lock.leader and at.tags.replicatefrom is not None:
        if at.name in seen:
            return False
        seen.add(at.name)
        at = view.member(at.tags.replicatefrom)
    return at is None or at.name not in seen
