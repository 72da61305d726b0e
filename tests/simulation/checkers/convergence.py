"""Liveness: once faults heal there are one primary and all others streaming from it, within a bound, untouched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matriarch.kube.api import PODS
from matriarch.words import labels
from matriarch.words.names import slot_name

if TYPE_CHECKING:
    from matriarch.testing.fake_postgres_server import Server
    from simulation.member import Member
    from simulation.world import World


def unsettled(world: World) -> str | None:
    """What keeps the cluster from being whole; None when it is."""
    if world.truth.settings.standby_cluster is not None:
        return _standby_problem(world)
    primaries = [member for member in world.members if member.server.writable]
    if len(primaries) != 1:
        return f"{len(primaries)} members accept writes"
    primary = primaries[0]
    if world.truth.holder != primary.name:
        return f"{primary.name} accepts writes, the lock names {world.truth.holder}"
    if world.truth.address(asyncio.get_running_loop().time()) != primary.ip:
        return "the Service does not point at the primary"
    for member in world.members:
        problem = _replica_problem(member, primary) if member is not primary else None
        problem = problem or _slots_problem(world, member)
        if problem is not None and member not in world.set_aside:
            return f"{member.name} {problem}"
    return _records_problem(world, primary)


def _slots_problem(world: World, member: Member) -> str | None:
    """Who may lead has a slot for every other member, and the permanent ones."""
    settings, disk = world.truth.settings, member.server.disk
    if member.tags.nofailover or settings.pause:
        return None
    wanted = {slot_name(other.name) for other in world.members if other is not member}
    if settings.member_slots_ttl <= 0 and not member.server.writable:
        wanted = set()
    wanted |= settings.slots.permanent.keys()
    missing = wanted - disk.slots.keys() - disk.logical.keys()
    return f"has no slot {', '.join(sorted(missing))}" if missing else None


def _standby_problem(world: World) -> str | None:
    """A standby cluster: its leader streams from the remote, all others from the leader, and nobody accepts writes."""
    leader = next((member for member in world.members if member.name == world.truth.holder), None)
    if leader is None:
        return "nobody leads"
    for member in world.members:
        source = world.remote.server if member is leader else leader.server
        problem = _link_problem(member, source)
        if member.server.writable:
            return f"{member.name} accepts writes in a standby cluster"
        if problem is not None and member not in world.set_aside:
            return f"{member.name} {problem}"
    return _records_problem(world, leader)


def _replica_problem(member: Member, primary: Member) -> str | None:
    return _link_problem(member, primary.server)


def _link_problem(member: Member, primary: Server) -> str | None:
    link = primary.links.get(member.name)
    if link is None or link.receiver is not member.server or not link.receiver_open:
        return "does not stream from the primary"
    if not link.streaming:
        return "has not caught up"
    member.server.intake.replay()
    if primary.disk.flushed - member.server.disk.replayed > 64 * 1024 * 1024:
        return "is far behind"
    return None


def _records_problem(world: World, primary: Member) -> str | None:
    roles = {
        pod["metadata"]["name"]: (pod["metadata"].get("labels") or {}).get(labels.ROLE)
        for pod in world.kube.store.list(PODS, world.namespace).items
    }
    for member in world.members:
        wanted = labels.ROLE_PRIMARY if member is primary else labels.ROLE_REPLICA
        if member not in world.set_aside and roles.get(member.name) != wanted:
            return f"{member.name} is labelled {roles.get(member.name)}"
    apart = [primary, *world.set_aside]
    able = [member for member in world.members if member not in apart and not member.tags.nosync]
    sync = world.truth.sync
    if world.truth.settings.synchronous and able and (sync.leader != primary.name or not sync.standbys):
        return f"the sync object says {sync.leader} with {sync.standbys}"
    if not world.truth.settings.synchronous and sync.leader is not None:
        return "the sync object is not empty"
    if world.truth.request.pending:
        return f"a request is pending: {world.truth.request}"
    return _schedules_problem(world)


def _schedules_problem(world: World) -> str | None:
    """Whatever was planned has been done or been given up."""
    for member in world.members:
        scheduled = member.agent.memory.scheduled_restart if member.agent is not None else None
        if scheduled is not None and member not in world.set_aside:
            return f"{member.name} still has a restart planned: {scheduled}"
    return None
