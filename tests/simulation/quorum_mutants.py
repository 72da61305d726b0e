"""Deliberate bugs of quorum mode: in who is heard, in the order of the steps, in the promises.

Those that need faults at the very moment of a step are in takeover_mutants.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from matriarch.ha.quorum import Goal, Promise, State
from matriarch.ha.rules import sync as sync_rules
from matriarch.ha.view import View
from matriarch.words.sync_names import SyncNames
from simulation.mutant import RULES, Mutant, all_of, patched, under
from simulation.plan import Plan


def quorum_plan(*faults: str, members: int = 3, count: int = 1, **changes: Any) -> Callable[[Plan], None]:
    """Any `count` acknowledge, so that commits are often missing on the others."""
    adjusted = under(faults, synchronous_mode="quorum", synchronous_node_count=count, members=members, **changes)

    def adjust(plan: Plan) -> None:
        adjusted(plan)
        plan.members = members
        plan.settings.update(synchronous_mode_strict=False, ttl=9, loop_wait=3, retry_timeout=3)
        plan.settings.pop("member_tags", None)
        plan.tags = {}

    return adjust


HELD_S = 20.0


def _too_early(hasty: Callable[[State, Goal], Promise | Goal | None]) -> Callable[[], Any]:
    """A step that comes before the one that it depends on, which then takes some seconds to come."""
    begun: dict[str, float] = {}
    taken: list[bool] = []

    def next_step(real: Any) -> Any:
        def step(state: State, goal: Goal) -> Promise | Goal | None:
            early = hasty(state, goal)
            taken.append(early is not None)
            found: Promise | Goal | None = early if early is not None else real(state, goal)
            return found

        return step

    def towards(real: Any) -> Any:
        def hold(view: View, goal: Goal, in_force: SyncNames) -> tuple[Any, ...]:
            if 0 <= view.now - begun.get(view.me.name, -1e9) < HELD_S:
                return ()
            taken.clear()
            steps: tuple[Any, ...] = real(view, goal, in_force)
            if any(taken):
                begun[view.me.name] = view.now
            return steps

        return hold

    return all_of(patched(sync_rules, "next_step", next_step), patched(sync_rules, "_towards", towards))


def _voters_first(state: State, goal: Goal) -> Promise | None:
    """Shrink the set of voters, and their quorum with it, before commits wait for the smaller set."""
    shrinks = goal.names and goal.names < state.promise.voters and goal.names < state.names
    return Promise(goal.names, len(goal.names) - goal.count) if shrinks else None


QUORUM_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a quorum's race ignores the voters that it did not hear",
        lambda: mock.patch(f"{RULES}.race.obstacle", lambda *_: None),
        quorum_plan("isolate", "split", "node-crash", "one-way", members=5, fault_every_s=4.0),
        frozenset({3}),
    ),
    Mutant(
        "voters leave before commits wait for those who stay",
        _too_early(_voters_first),
        quorum_plan("container-kill", "split", "one-way", fault_every_s=4.0),
        frozenset({3}),
        seeds=150,
    ),
    Mutant(
        "a silent leader is succeeded with a minority of promises",
        lambda: mock.patch(f"{RULES}.takeover.short_of_promises", lambda *_: None),
        quorum_plan("estrange", "split", "isolate", fault_every_s=4.0),
        frozenset({1, 3}),
    ),
    Mutant(
        "a promise is counted on before the receiver is closed",
        lambda: mock.patch.object(View, "promise_kept", property(lambda view: view.lock.version)),
        quorum_plan("freeze", "api-slow", "api-stall", fault_every_s=2.0, failsafe_mode=False),
        frozenset({1, 3}),
        seeds=150,
    ),
)
