"""What a deliberate bug is, how one is planted, and the worlds in which its trigger is likely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

from matriarch.ha import decide
from simulation.plan import Plan


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: `plant` installs it, `adjust` makes its trigger likely, `rules` are those that may notice."""

    name: str
    plant: Callable[[], Any]
    adjust: Callable[[Plan], None]
    rules: frozenset[int]
    seeds: int = 60
    profile: str = "mixed"
    weakens_the_world: bool = False
    """The bug is in `adjust` already: there is no sound world to compare with."""


@dataclass(slots=True)
class Catch:
    """How a mutant was noticed."""

    seed: int
    rule: int
    tried: int
    others: list[int] = field(default_factory=list)
    """Seeds on which another rule complained."""


PAUSES = ("agent-pause", "freeze", "agent-kill", "isolate")
PARTITIONS = ("isolate", "split", "one-way", "api-outage", "node-crash")
RULES = "matriarch.ha.rules"


def under(faults: tuple[str, ...], **changes: Any) -> Callable[[Plan], None]:
    def adjust(plan: Plan) -> None:
        plan.members = max(plan.members, 3)
        plan.weights = dict.fromkeys(faults, 1.0)
        plan.fault_every_s = 8.0
        plan.foreign = False
        plan.clients, plan.sticky = 4, 3
        plan.admin_every_s = 1e6
        for name, value in changes.items():
            if name in Plan.__dataclass_fields__:
                setattr(plan, name, value)
            else:
                plan.settings[name] = value

    return adjust


def without_rule(name: str) -> Callable[[], Any]:
    return lambda: mock.patch.object(decide, "RULES", tuple(r for r in decide.RULES if r.__name__ != name))


def patched(target: Any, name: str, change: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: mock.patch.object(target, name, change(getattr(target, name)))


def all_of(*patches: Callable[[], Any]) -> Callable[[], Any]:
    @contextmanager
    def together() -> Iterator[None]:
        started = [patch() for patch in patches]
        for patch in started:
            patch.__enter__()
        try:
            yield
        finally:
            for patch in reversed(started):
                patch.__exit__(None, None, None)

    return together


def everywhere(name: str, replacement: Any, *modules: str) -> Callable[[], Any]:
    return all_of(*[partial(mock.patch, f"{module}.{name}", replacement) for module in modules])


def storm(plan: Plan) -> None:
    """Dense partitions in a synchronous cluster whose primary often loses only some of its roads."""
    plan.members = max(plan.members, 3)
    plan.settings.update(synchronous_mode=True, synchronous_mode_strict=False, ttl=9, loop_wait=3, retry_timeout=3)
    plan.weights = {"estrange": 3.0, "isolate": 1.0, "api-stall": 2.0, "api-slow": 1.0}
    plan.fault_every_s = 2.5
    plan.foreign = False
    plan.clients, plan.sticky = 4, 3
    plan.admin_every_s = 1e6


def weather(plan: Plan) -> None:
    """The same cluster with faults of every kind between members and API server."""
    storm(plan)
    faults = ("api-flaky", "api-lagging-watch", "api-slow", "isolate", "one-way", "split")
    plan.weights = dict.fromkeys(faults, 1.0)
