"""Partitions of every shape, loss and delay. A partitioned node may or may not still reach the API server."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.world import World


def isolate(world: World, rng: random.Random) -> None:
    """One node loses everybody, the API server too."""
    leader = [m for m in world.members if m.name == world.truth.holder]
    member = leader[0] if leader and rng.random() < 0.6 else rng.choice(world.members)
    seconds = rng.uniform(1, 60)
    world.trace.add(member.name, f"isolated for {seconds:.1f} s")
    world.network.darken(member.name)
    world.api_dark(member.name, True)

    def back() -> None:
        world.network.lighten(member.name)
        world.api_dark(member.name, False)

    world.later(seconds, back)


def split(world: World, rng: random.Random) -> None:
    """Two groups of members that do not hear each other; one of them may lose the API server as well."""
    if len(world.members) < 2:
        return
    some = rng.sample(world.members, rng.randint(1, len(world.members) - 1))
    others = [member for member in world.members if member not in some]
    seconds, with_api = rng.uniform(2, 60), rng.random() < 0.4
    names = "+".join(sorted(member.name for member in some))
    world.trace.add("network", f"{names} apart for {seconds:.1f} s" + (", without the API" if with_api else ""))
    pairs = [(a.name, b.name) for a in some for b in others]
    pairs += [(b, a) for a, b in pairs]
    for pair in pairs:
        world.network.cut(*pair)
    for member in some if with_api else []:
        world.api_dark(member.name, True)

    def back() -> None:
        for pair in pairs:
            world.network.mend(*pair)
        for member in some if with_api else []:
            world.api_dark(member.name, False)

    world.later(seconds, back)


def one_way(world: World, rng: random.Random) -> None:
    """Packets pass in one direction only."""
    if len(world.members) < 2:
        return
    source, target = (member.name for member in rng.sample(world.members, 2))
    seconds = rng.uniform(2, 60)
    world.trace.add("network", f"nothing from {source} to {target} for {seconds:.1f} s")
    world.network.cut(source, target)
    world.later(seconds, lambda: world.network.mend(source, target))


def estrange(world: World, rng: random.Random) -> None:
    """The leader loses all other members, or is heard by none of them while it hears them; it keeps the API server.

    The others' requests to the API server may be slow: the fast failover is then a slow race with the leader.
    """
    leader = next((m for m in world.members if m.name == world.truth.holder), None)
    if leader is None:
        return
    others = [member.name for member in world.members if member is not leader]
    seconds, most = rng.uniform(4, 30), rng.choice([0.006, 0.5, 2.0, 2.9])
    world.trace.add("network", f"{leader.name} alone with the API for {seconds:.1f} s, latency {most} s for the others")
    pairs = [(leader.name, other) for other in others]
    if rng.random() < 0.5:
        pairs += [(other, leader.name) for other in others]
    for pair in pairs:
        world.network.cut(*pair)
    for other in others:
        world.kube.faults_for(other).latency = (0.001, most)

    def back() -> None:
        for pair in pairs:
            world.network.mend(*pair)
        for other in others:
            world.kube.faults_for(other).latency = world.calm_api().latency

    world.later(seconds, back)


def rift(world: World, rng: random.Random) -> None:
    """The leader and some of the others do not hear each other, or only in one direction, for about as long as a
    takeover takes."""
    leader = next((m for m in world.members if m.name == world.truth.holder), None)
    others = [member.name for member in world.members if member is not leader]
    if leader is None or not others:
        return
    some, seconds = rng.sample(others, rng.randint(1, len(others))), rng.uniform(1.5, 9.0)
    ways = rng.choice(["both", "both", "down", "up"])
    world.trace.add("network", f"{leader.name} and {'+'.join(sorted(some))} apart ({ways}) for {seconds:.1f} s")
    pairs = [(leader.name, other) for other in some] if ways != "up" else []
    pairs += [(other, leader.name) for other in some] if ways != "down" else []
    world.rifts.tear(pairs, seconds)


def loss(world: World, rng: random.Random) -> None:
    """Requests and answers vanish at random."""
    seconds, share = rng.uniform(5, 60), rng.choice([0.05, 0.2, 0.5])
    world.trace.add("network", f"{share:.0%} loss for {seconds:.1f} s")
    world.network.loss = share

    def back() -> None:
        world.network.loss = 0.0

    world.later(seconds, back)


def delay(world: World, rng: random.Random) -> None:
    """Everything is slow."""
    seconds, most = rng.uniform(5, 60), rng.choice([0.05, 0.3, 1.0])
    world.trace.add("network", f"delays up to {most} s for {seconds:.1f} s")
    world.network.delay = (0.001, most)

    def back() -> None:
        world.network.delay = (0.0001, 0.003)

    world.later(seconds, back)


def resets(world: World, rng: random.Random) -> None:
    """Every replication connection of one member breaks, and both sides notice."""
    member = rng.choice(world.members)
    links = [*member.server.links.values()]
    if member.server.intake.link is not None:
        links.append(member.server.intake.link)
    for link in links:
        link.reset()


def clients_cut(world: World, rng: random.Random) -> None:
    """Clients and a member do not hear each other, or only in one direction; members are not concerned."""
    leader = [m for m in world.members if m.name == world.truth.holder]
    member = leader[0] if leader and rng.random() < 0.7 else rng.choice(world.members)
    seconds, ways = rng.uniform(2, 30), rng.choice(["requests", "answers", "both"])
    world.trace.add("network", f"clients and {member.name} apart ({ways}) for {seconds:.1f} s")
    pairs = [(client.name, member.name) for client in world.clients] if ways != "answers" else []
    pairs += [(member.name, client.name) for client in world.clients] if ways != "requests" else []
    for pair in pairs:
        world.network.cut(*pair)

    def back() -> None:
        for pair in pairs:
            world.network.mend(*pair)

    world.later(seconds, back)


NETWORK_FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "isolate": isolate,
    "split": split,
    "one-way": one_way,
    "loss": loss,
    "delay": delay,
    "estrange": estrange,
    "resets": resets,
    "clients-cut": clients_cut,
}
