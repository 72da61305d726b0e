"""Faults aimed at the moments of the protocol: an agent stands still when it has just promised, a road opens when a
claim is about to leave, a disk grows slow while names change.

The moments are calls through an agent's ports, seen from outside: nothing of the agent's own code is touched. Which
moments, which faults and how often is the plan's to say, so a seed decides it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matriarch.words import labels, names
from simulation.deeds import DEEDS

if TYPE_CHECKING:
    from simulation.member import Member
    from simulation.world import World

STEPS = (
    "ask",
    "promise",
    "follow",
    "claim",
    "take",
    "renew",
    "list",
    "lands",
    "names",
    "promote",
    "release",
    "failsafe",
)
"""What a member does: asks a peer, closes its receiver, follows a leader, claims the sync object, takes, renews or
releases the lock, writes the sync object (and `lands`: that write takes effect, maybe long after it was given up),
changes synchronous_standby_names, promotes, claims to lead under failsafe."""
VICTIMS = ("actor", "leader", "former", "listed", "other")
"""Who does it, holds the lock, is the leader by the sync object, is another one listed there, is another replica."""


MOST = 3
"""How often one ambush strikes in one wave."""


@dataclass(frozen=True, slots=True)
class Ambush:
    """Whenever somebody takes a `step` (or, `after`, has just taken it), `deed` befalls `victim`, with a chance."""

    step: str
    after: bool
    deed: str
    victim: str
    chance: float
    seconds: float


class Ambusher:
    """Watches the members' ports and strikes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/ambush")
        self._left = 0
        self._struck: Counter[Ambush] = Counter()
        self._by_moment: dict[tuple[str, bool], list[Ambush]] = {}
        for ambush in world.plan.ambushes:
            self._by_moment.setdefault((ambush.step, ambush.after), []).append(ambush)

    def arm(self, strikes: int) -> None:
        """Strike so many times from now on."""
        self._left = strikes
        self._struck.clear()

    def happens(self, actor: Member, step: str, after: bool) -> None:
        """A member is about to take a step, or has taken it."""
        if not self._left or self._world.healing:
            return
        for ambush in self._by_moment.get((step, after), ()):
            if self._left and self._struck[ambush] < MOST and self._rng.random() < ambush.chance:
                self._strike(ambush, actor)

    def _strike(self, ambush: Ambush, actor: Member) -> None:
        victim = self._victim(ambush.victim, actor)
        if victim is None:
            return
        self._left -= 1
        self._struck[ambush] += 1
        seconds = ambush.seconds * self._rng.uniform(0.5, 1.5)
        moment = f"{'after' if ambush.after else 'before'} {actor.name}'s {ambush.step}"
        self._world.faults[f"at-{ambush.step}"] += 1
        self._world.trace.add("fault", f"{moment}: {victim.name} {ambush.deed} ({seconds:.2f} s)")
        DEEDS[ambush.deed](self._world, victim, seconds)

    def _victim(self, who: str, actor: Member) -> Member | None:
        world = self._world
        if who == "actor":
            return actor
        if who == "leader":
            found = [member for member in world.members if member.name == world.truth.holder]
        elif who == "former":
            found = [member for member in world.members if member.name == world.truth.sync.leader]
        elif who == "listed":
            found = [m for m in world.members if m is not actor and m.name in world.truth.sync.standbys]
        else:
            found = [m for m in world.members if m is not actor and m.name != world.truth.holder]
        return self._rng.choice(found) if found else None


class Lookout:
    """The Spy at one member's ports."""

    def __init__(self, ambusher: Ambusher, member: Member) -> None:
        self._ambusher, self._member = ambusher, member
        cluster = member.world.cluster
        self._lock, self._sync = names.lock_object(cluster), names.sync_object(cluster)

    def begins(self, method: str, args: tuple[Any, ...]) -> str | None:
        """A call is about to leave."""
        step = self._step(method, args)
        if step is not None:
            self._ambusher.happens(self._member, step, False)
        return step

    def ended(self, step: str) -> None:
        """It is done."""
        self._ambusher.happens(self._member, step, True)

    def _step(self, method: str, args: tuple[Any, ...]) -> str | None:
        if method == "patch":
            return self._write(args[2], args[3])
        if method == "follow":
            return "promise" if args[0] is None else "follow"
        return {"ask": "ask", "claim": "failsafe", "set_sync_names": "names", "promote": "promote"}.get(method)

    def _write(self, name: str, body: dict[str, Any]) -> str | None:
        notes = body["metadata"].get("annotations") or {}
        if name == self._sync:
            return "claim" if notes.get(labels.CLAIM) else "list"
        if name != self._lock or "leader" not in notes:
            return None
        if notes["leader"] is None:
            return "release"
        return "take" if "acquireTime" in notes else "renew"
