"""Whom a replica follows, and where that member's Postgres listens."""

from __future__ import annotations

from matriarch.ha.view import MemberView, Upstream, View


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
