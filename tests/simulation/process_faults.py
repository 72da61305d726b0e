"""Processes, containers, pods and nodes that die, freeze or come back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from matriarch.testing.fake_kube_faults import vars_of

if TYPE_CHECKING:
    from simulation.member import Member
    from simulation.world import World


def _somebody(world: World, rng: random.Random) -> Member:
    """The leader as often as all others together: that is where it hurts."""
    leader = [member for member in world.members if member.name == world.truth.holder]
    return leader[0] if leader and rng.random() < 0.5 else rng.choice(world.members)


def agent_kill(world: World, rng: random.Random) -> None:
    """kill -9 of the agent; init starts another."""
    world.spawn(_somebody(world, rng).restart_agent(rng.uniform(0.1, 2.0)))


def agent_pause(world: World, rng: random.Random) -> None:
    """SIGSTOP of the agent."""
    member, seconds = _somebody(world, rng), rng.choice([rng.uniform(0.5, 4), rng.uniform(5, 40)])
    gate = member.gate
    world.trace.add(member.name, f"agent stopped for {seconds:.1f} s")
    gate.stop()
    world.later(seconds, gate.go_on)


def agent_starve(world: World, rng: random.Random) -> None:
    """The agent runs, but each of its steps takes long: a machine without a free processor."""
    member, seconds, most = _somebody(world, rng), rng.uniform(5, 60), rng.choice([0.1, 0.5, 1.5])
    gate = member.gate
    world.trace.add(member.name, f"agent starved for {seconds:.1f} s, each step up to {most} s")
    gate.drag = partial(member.rng.uniform, 0.0, most)

    def back() -> None:
        gate.drag = None

    world.later(seconds, back)


def freeze(world: World, rng: random.Random) -> None:
    """The whole container stands still."""
    member, seconds = _somebody(world, rng), rng.choice([rng.uniform(0.5, 4), rng.uniform(5, 40)])
    if member.init is None or member.init.frozen:
        return
    init = member.init
    world.trace.add(member.name, f"container frozen for {seconds:.1f} s")
    member.freeze(True)
    world.later(seconds, lambda: member.freeze(False) if member.init is init else None)


def postgres_kill(world: World, rng: random.Random) -> None:
    """kill -9 of the postmaster."""
    _somebody(world, rng).server.die("killed by a fault")


def postgres_hang(world: World, rng: random.Random) -> None:
    """SIGSTOP of Postgres."""
    server, seconds = _somebody(world, rng).server, rng.uniform(1, 25)
    if server.process == "stopped" or server.hung:
        return
    life = server.life
    world.trace.add(server.member, f"postgres hangs for {seconds:.1f} s")
    server.freeze(True)
    world.later(seconds, lambda: server.freeze(False) if server.life == life else None)


def postgres_slow(world: World, rng: random.Random) -> None:
    """Queries and the disk take long."""
    server, seconds = _somebody(world, rng).server, rng.uniform(5, 60)
    query, fsync = rng.choice([0.3, 1.2, 2.5]), rng.choice([0.02, 0.3, 1.0])
    world.trace.add(server.member, f"postgres slow for {seconds:.1f} s: queries up to {query} s, fsync up to {fsync} s")
    server.hazards = replace(world.plan.hazards, query=(0.01, query), fsync=(0.001, fsync))

    def back() -> None:
        server.hazards = world.plan.hazards

    world.later(seconds, back)


def postgres_deaf(world: World, rng: random.Random) -> None:
    """SIGSTOP of the postmaster alone: sessions go on, no new one comes about."""
    server, seconds = _somebody(world, rng).server, rng.uniform(1, 25)
    if server.process == "stopped" or server.deaf:
        return
    life = server.life
    world.trace.add(server.member, f"postgres takes no new session for {seconds:.1f} s")
    server.deafen(True)
    world.later(seconds, lambda: server.deafen(False) if server.life == life else None)


def container_kill(world: World, rng: random.Random) -> None:
    """Every process of the container dies; the kubelet restarts it."""
    world.spawn(_somebody(world, rng).restart_container("killed by a fault", rng.uniform(0.3, 6)))


def pod_delete(world: World, rng: random.Random) -> None:
    """kubectl delete pod."""
    world.spawn(_somebody(world, rng).replace_pod(graceful=True))


def pod_force_delete(world: World, rng: random.Random) -> None:
    """kubectl delete pod --force --grace-period=0."""
    world.spawn(_somebody(world, rng).replace_pod(graceful=False))


def scale_down(world: World, rng: random.Random) -> None:
    """A member goes in order and stays away for a while, its volume kept: scaled down and up again."""
    seconds = rng.uniform(10, 90)
    world.trace.add("fault", f"a member goes away for {seconds:.1f} s")
    world.spawn(rng.choice(world.members).replace_pod(graceful=True, away_s=seconds))


def all_pods(world: World, rng: random.Random) -> None:
    """Everything is deleted at once."""
    for member in world.members:
        world.spawn(member.replace_pod(graceful=rng.random() < 0.5))


def node_crash(world: World, rng: random.Random) -> None:
    """The machine dies without a word and comes back with its disk; its pod may have another address then."""
    _crash(world, _somebody(world, rng), rng.uniform(2, 60), readdress=rng.random() < 0.5)


def power_cut(world: World, rng: random.Random) -> None:
    """All machines die at once and come back one by one, every pod with another address. In most cases the API server
    went before them and comes back later than the first of them: the primary was in failsafe mode by then."""
    if rng.random() < 0.6:
        seconds = rng.uniform(20, 75)
        world.trace.add("api", f"unreachable for all for {seconds:.1f} s")
        for member in world.members:
            world.api_dark(member.name, True)
            world.later(seconds, partial(world.api_dark, member.name, False))
        world.spawn(_cut_power(world, rng, rng.uniform(0, 20)))
    else:
        world.spawn(_cut_power(world, rng, 0.0))


async def _cut_power(world: World, rng: random.Random, after_s: float) -> None:
    await world.pass_time(after_s)
    if world.healing:
        return
    world.trace.add("fault", "no machine has power")
    for member in world.members:
        _crash(world, member, rng.uniform(2, 40), readdress=True)


def node_loss(world: World, rng: random.Random) -> None:
    """The machine dies and its disk with it; only where nobody else's promise rests on that disk."""
    member = _somebody(world, rng)
    if not expendable(world, member):
        return
    _crash(world, member, rng.uniform(2, 30))
    member.lose_volume()


def _crash(world: World, member: Member, seconds: float, *, readdress: bool = False) -> None:
    if not member.node_up:
        return
    member.node_up = False
    world.network.darken(member.name)
    member.kill_container("its node is lost", machine=True)

    def back() -> None:
        member.node_up = True
        world.network.lighten(member.name)
        if readdress and not member.restarts_blocked and member.init is None:
            member.readdress()
        member.start_container()

    world.later(seconds, back)


def expendable(world: World, member: Member) -> bool:
    """Whether some other live member that may be promoted has all the data: rule 3 speaks of single faults."""
    truth = world.truth
    if vars_of(world.kube.faults_for(member.name)) != vars_of(world.calm_api()):
        return False  # a write of the sync object may be under way, and arrive when its author is no more
    if truth.holder is None or not truth.config.initialize or world.volumes_lost:
        return False
    keeper = [m for m in world.members if m is not member and m.server.process == "running"]
    if truth.sync.leader is not None:
        allowed = {truth.sync.leader, *truth.sync.standbys}
        keeper = [m for m in keeper if m.name in allowed]
    if not any(m.node_up and _can_replace(world, m, member) for m in keeper):
        return False
    world.volumes_lost += 1
    return True


def _can_replace(world: World, member: Member, lost: Member) -> bool:
    """Whether `member` may lead once `lost` is gone: it has what was promised, and is not a timeline behind."""
    mine, theirs = member.volume.data, lost.volume.data
    if mine is None or member.tags.nofailover or world.checkers.no_lost_ack.missing_in(mine) is not None:
        return False
    if theirs is None:
        return True
    behind = theirs.flushed - mine.flushed
    return mine.branch.timeline >= theirs.branch.timeline and behind < world.truth.settings.maximum_lag_on_failover


def volume_unreadable(world: World, rng: random.Random) -> None:
    """The container restarts and finds its disk unreadable for a while."""
    member, seconds = _somebody(world, rng), rng.uniform(2, 20)
    volume = member.volume
    volume.readable = False
    world.trace.add(member.name, f"disk unreadable for {seconds:.1f} s")
    world.spawn(member.restart_container("its disk fails", rng.uniform(0.3, 2)))

    def back() -> None:
        volume.readable = True

    world.later(seconds, back)


def disk_full(world: World, rng: random.Random) -> None:
    """No space is left: a primary panics at its next write and does not start, a replica takes nothing in."""
    member, seconds = _somebody(world, rng), rng.uniform(2, 40)
    volume = member.volume
    volume.full = True
    world.trace.add(member.name, f"disk full for {seconds:.1f} s")

    def back() -> None:
        volume.full = False

    world.later(seconds, back)


PROCESS_FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "agent-kill": agent_kill,
    "agent-pause": agent_pause,
    "agent-starve": agent_starve,
    "freeze": freeze,
    "postgres-kill": postgres_kill,
    "postgres-hang": postgres_hang,
    "postgres-slow": postgres_slow,
    "postgres-deaf": postgres_deaf,
    "container-kill": container_kill,
    "pod-delete": pod_delete,
    "pod-force-delete": pod_force_delete,
    "all-pods": all_pods,
    "scale-down": scale_down,
    "node-crash": node_crash,
    "node-loss": node_loss,
    "power-cut": power_cut,
    "disk-full": disk_full,
    "volume-unreadable": volume_unreadable,
}
