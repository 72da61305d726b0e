"""What may befall a member in an ambush, for some seconds: small faults without a random choice of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulation.member import Member
    from simulation.world import World

Deed = Callable[["World", "Member", float], None]


def _others(world: World, member: Member) -> list[str]:
    return [other.name for other in world.members if other is not member]


def _stop(world: World, member: Member, seconds: float) -> None:
    gate = member.gate
    gate.stop()
    world.later(seconds, gate.go_on)


def _kill(world: World, member: Member, seconds: float) -> None:
    world.spawn(member.restart_agent(0.1 + min(seconds, 1.5)))


def _freeze(world: World, member: Member, seconds: float) -> None:
    init = member.init
    if init is not None and not init.frozen:
        member.freeze(True)
        world.later(seconds, lambda: member.freeze(False) if member.init is init else None)


def _road(world: World, member: Member, seconds: float, **changes: Any) -> None:
    faults, calm = world.kube.faults_for(member.name), world.calm_api()
    for field, value in changes.items():
        setattr(faults, field, value)

    def back() -> None:
        for field in changes:
            setattr(faults, field, getattr(calm, field))

    world.later(seconds, back)


def _slow(world: World, member: Member, seconds: float) -> None:
    _road(world, member, seconds, latency=(0.3 * min(seconds, 2.0), min(seconds, 2.0)))


def _late_watch(world: World, member: Member, seconds: float) -> None:
    _road(world, member, seconds, watch_lag=(seconds / 2, seconds))


def _silent_watch(world: World, member: Member, seconds: float) -> None:
    _road(world, member, seconds, silent_watch=True)


def _unanswered(world: World, member: Member, seconds: float) -> None:
    _road(world, member, min(seconds, 1.0), lost_reply=1.0)


def _stall(world: World, member: Member, seconds: float) -> None:
    """What is sent arrives when it has been given up."""
    _road(world, member, seconds + 10.0, late=1.0)
    world.api_dark(member.name, True)
    world.later(seconds, lambda: world.api_dark(member.name, False))


def _dark(world: World, member: Member, seconds: float) -> None:
    world.api_dark(member.name, True)
    world.later(seconds, lambda: world.api_dark(member.name, False))


def _alone(world: World, member: Member, seconds: float) -> None:
    others = _others(world, member)
    world.rifts.tear([(member.name, o) for o in others] + [(o, member.name) for o in others], seconds)


def _unheard(world: World, member: Member, seconds: float) -> None:
    world.rifts.tear([(member.name, other) for other in _others(world, member)], seconds)


def _estranged(world: World, member: Member, seconds: float) -> None:
    """Apart from the leader only."""
    leader = world.truth.holder
    if leader is not None and leader != member.name:
        world.rifts.tear([(leader, member.name), (member.name, leader)], seconds)


def _rejoined(world: World, member: Member, seconds: float) -> None:
    """It and the leader hear each other again; for the leader: it and everybody."""
    del seconds
    leader = world.truth.holder
    for other in _others(world, member):
        if leader in (other, member.name):
            world.rifts.heal(member.name, other)


def _reset(world: World, member: Member, seconds: float) -> None:
    """Its replication connections break, and nobody hears it for a while."""
    for link in list(member.server.links.values()):
        link.reset()
    _alone(world, member, seconds)


def _paused(world: World, member: Member, seconds: float) -> None:
    """A person pauses the cluster just now."""
    del member
    world.spawn(world.administrator.set_settings({"pause": True}))
    world.later(seconds, lambda: world.administrator.unpause())


def _die(world: World, member: Member, seconds: float) -> None:
    del world, seconds
    member.server.die("killed by an ambush")


def _hang(world: World, member: Member, seconds: float) -> None:
    server = member.server
    life = server.life
    if server.process != "stopped" and not server.hung:
        server.freeze(True)
        world.later(seconds, lambda: server.freeze(False) if server.life == life else None)


def _slow_disk(world: World, member: Member, seconds: float) -> None:
    server = member.server
    server.hazards = replace(world.plan.hazards, fsync=(seconds / 8, seconds / 4), query=(0.01, min(seconds / 8, 0.8)))

    def back() -> None:
        server.hazards = world.plan.hazards

    world.later(seconds, back)


DEEDS: dict[str, Deed] = {
    "stop": _stop,
    "kill": _kill,
    "freeze": _freeze,
    "slow-api": _slow,
    "stall-api": _stall,
    "no-api": _dark,
    "unanswered": _unanswered,
    "late-watch": _late_watch,
    "silent-watch": _silent_watch,
    "alone": _alone,
    "unheard": _unheard,
    "estranged": _estranged,
    "rejoined": _rejoined,
    "reset": _reset,
    "paused": _paused,
    "postgres-dies": _die,
    "postgres-hangs": _hang,
    "slow-disk": _slow_disk,
}
