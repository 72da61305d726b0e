"""Deliberate bugs. Each takes one safeguard away; the simulator has to notice, or its checkers prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest import mock

from matriarch.ha.actions import Decision, SetSyncNames, WriteSync
from matriarch.ha.divergence import Verdict
from matriarch.ha.failsafe import Verdict as FailsafeVerdict
from matriarch.ha.quorum import Goal, Promise, State
from matriarch.ha.rules import sync as sync_rules
from matriarch.ha.view import SyncView, View
from matriarch.words.names import sync_object
from matriarch.words.sync_names import SyncNames, every
from matriarch_agent.agent import Agent
from matriarch_agent.keeper import Keeper
from matriarch_agent.store import ClusterStore
from simulation.mutant import (
    PARTITIONS,
    PAUSES,
    RULES,
    Mutant,
    all_of,
    everywhere,
    patched,
    storm,
    under,
    weather,
    without_rule,
)
from simulation.plan import Plan


def _no_swap(method: Any) -> Any:
    async def patch(self: ClusterStore, name: str, body: Any, timeout: float) -> None:
        metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
        await method(self, name, {**body, "metadata": metadata}, timeout)

    return patch


def _late_lease(method: Any) -> Any:
    async def granted(self: Keeper, sent: float) -> None:
        await method(self, sent + 10.0)

    return granted


async def _any_peer(self: Agent, view: View) -> None:
    await self.keeper.extend(self.now())


def _names_first(step: Callable[[View], tuple[Any, ...]]) -> Callable[[View], tuple[Any, ...]]:
    """Shrink what commits wait for before the sync object says so."""

    def swapped(view: View) -> tuple[Any, ...]:
        steps = step(view)
        shrinks = [s for s in steps if isinstance(s, WriteSync) and set(s.standbys) < set(view.sync.standbys)]
        if shrinks and view.postgres.sync_names != every(shrinks[0].standbys):
            return (SetSyncNames(every(shrinks[0].standbys)),)
        return steps

    return swapped


def _agree(self: Agent, claim: Any) -> FailsafeVerdict:
    del self, claim
    return FailsafeVerdict(200, "Accepted")


def _nothing(view: View) -> Decision | None:
    del view
    return None


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "the lock is written without compare-and-swap",
        patched(ClusterStore, "_patch", _no_swap),
        under(("agent-pause", "api-slow", "isolate", "api-flaky"), fault_every_s=4.0),
        frozenset({1, 2, 3}),
    ),
    Mutant(
        "a lease counts from ten seconds after the request",
        patched(Keeper, "_granted", _late_lease),
        under(PARTITIONS),
        frozenset({1, 2}),
    ),
    Mutant("init holds no leash", nullcontext, under(PAUSES, leash=False), frozenset({1, 2}), weakens_the_world=True),
    Mutant(
        "anybody may be promoted, whatever the sync object says",
        all_of(lambda: mock.patch.object(SyncView, "lists", lambda self, member: True)),
        under(PARTITIONS, synchronous_mode=True, failsafe_mode=False),
        frozenset({3}),
    ),
    Mutant(
        "failsafe needs nobody's agreement",
        all_of(lambda: mock.patch.object(Agent, "confirm_failsafe", _any_peer)),
        under(PARTITIONS, failsafe_mode=True),
        frozenset({1, 2}),
    ),
    Mutant(
        "a member agrees to every failsafe claim and forgets it",
        lambda: mock.patch.object(Agent, "accept_failsafe", _agree),
        under(("api-outage", "api-outage", "one-way", "isolate"), failsafe_mode=True, fault_every_s=4.0),
        frozenset({1, 2, 3}),
    ),
    Mutant(
        "synchronous_standby_names shrinks before the sync object",
        patched(sync_rules, "step", _names_first),
        under(("isolate", "split", "api-outage", "node-crash"), synchronous_mode=True, fault_every_s=5.0),
        frozenset({3}),
        seeds=150,
    ),
    Mutant(
        "how far behind a candidate is does not matter",
        all_of(
            lambda: mock.patch(f"{RULES}.race._stale", _nothing),
            lambda: mock.patch(f"{RULES}.race.ahead", lambda *_: False),
        ),
        under(
            ("split", "isolate", "node-crash", "one-way"),
            synchronous_mode=False,
            members=5,
            maximum_lag_on_failover=1024,
        ),
        frozenset({4}),
    ),
    Mutant(
        "diverged data streams",
        everywhere("judge", lambda *_: Verdict.STREAM, f"{RULES}.follow", f"{RULES}.recover"),
        under(("isolate", "split", "node-crash"), synchronous_mode=False, failsafe_mode=False),
        frozenset({5}),
    ),
    Mutant(
        "slots are dropped as soon as they look unused",
        all_of(lambda: mock.patch(f"{RULES}.slots._forgotten", lambda *_: True)),
        under(("pod-force-delete", "api-lagging-watch", "container-kill"), fault_every_s=3.0),
        frozenset({7}),
    ),
    Mutant(
        "a lost lease is not fenced",
        without_rule("fence"),
        under(PARTITIONS, leash=False),
        frozenset({1, 2}),
        weakens_the_world=True,
    ),
    Mutant(
        "the TTL counts as over after half of it",
        everywhere("expired", lambda seen, ttl, now: now >= seen + ttl / 2, "matriarch_agent.store"),
        under(("api-outage", "api-slow", "isolate"), failsafe_mode=False, synchronous_mode=False),
        frozenset({1, 2}),
    ),
)


def _newest_version(take: Any) -> Any:
    async def take_lock(self: ClusterStore, version: str | None, *rest: Any) -> None:
        record = self.lock_record()
        await take(self, record.version if record is not None else version, *rest)

    return take_lock


def _blind_for_sync(swap: Any) -> Any:
    async def blind(self: ClusterStore, name: str, body: Any, version: str | None, timeout: float = 3.0) -> None:
        if version is not None and name == sync_object(self._me.cluster):
            await self._patch(name, body, timeout)
        else:
            await swap(self, name, body, version, timeout)

    return blind


MUTANTS += (
    Mutant(
        "a promotion does not wait for the sync object",
        lambda: mock.patch.object(sync_rules, "before_promotion", lambda view: ()),
        storm,
        frozenset({1, 3}),
        seeds=200,
    ),
    Mutant(
        "the fast failover takes whatever version the lock has by then",
        patched(ClusterStore, "take_lock", _newest_version),
        storm,
        frozenset({1, 2, 3}),
        seeds=200,
    ),
    Mutant(
        "the sync object is written without compare-and-swap",
        patched(ClusterStore, "_swap", _blind_for_sync),
        weather,
        frozenset({1, 3}),
        seeds=150,
    ),
)


def _quorum(*faults: str, members: int = 3, count: int = 1, **changes: Any) -> Callable[[Plan], None]:
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


def _count_first(state: State, goal: Goal) -> Goal | None:
    """Let fewer acknowledge before the quorum has grown."""
    return goal if goal.names == state.names and goal.count < state.count else None


MUTANTS += (
    Mutant(
        "a quorum's race ignores the voters that it did not hear",
        lambda: mock.patch(f"{RULES}.race.obstacle", lambda *_: None),
        _quorum("isolate", "split", "node-crash", "one-way", members=5, fault_every_s=4.0),
        frozenset({3}),
    ),
    Mutant(
        "voters leave before commits wait for those who stay",
        _too_early(_voters_first),
        _quorum("container-kill", "split", "one-way", fault_every_s=4.0),
        frozenset({3}),
        seeds=150,
    ),
    Mutant(
        "fewer acknowledge before the quorum has grown",
        _too_early(_count_first),
        _quorum("isolate", "estrange", "split", fault_every_s=4.0, admin_every_s=6.0, admin_kinds=("synchronous",)),
        frozenset({1, 3}),
        seeds=150,
    ),
    Mutant(
        "a quorum shrinks before the standbys have caught up",
        lambda: mock.patch("matriarch.ha.quorum.least_quorum", lambda *_: 0),
        _quorum("isolate", "split", "one-way", "node-crash", admin_every_s=6.0, admin_kinds=("synchronous",)),
        frozenset({3}),
        seeds=150,
    ),
    Mutant(
        "a voter's word from before the end of the lease counts",
        lambda: mock.patch(f"{RULES}.race.in_time", lambda *_: True),
        _quorum("api-outage", "api-stall", "isolate", fault_every_s=4.0, failsafe_mode=False),
        frozenset({3}),
        seeds=150,
    ),
)
