"""Deliberate bugs. Each takes one safeguard away; the simulator has to notice, or its checkers prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
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
from simulation.plan import Plan


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: `plant` installs it, `adjust` makes its trigger likely, `rules` are those that may notice."""

    name: str
    plant: Callable[[], Any]
    adjust: Callable[[Plan], None]
    rules: frozenset[int]
    seeds: int = 60
    weakens_the_world: bool = False
    """The bug is in `adjust` already: there is no sound world to compare with."""


def _plan(faults: tuple[str, ...], **changes: Any) -> Callable[[Plan], None]:
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


def _rules_without(name: str) -> Callable[[], Any]:
    from matriarch.ha import decide

    return lambda: mock.patch.object(decide, "RULES", tuple(r for r in decide.RULES if r.__name__ != name))


def _patched(target: Any, name: str, change: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: mock.patch.object(target, name, change(getattr(target, name)))


def _many(*patches: Callable[[], Any]) -> Callable[[], Any]:
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


def _everywhere(name: str, replacement: Any, *modules: str) -> Callable[[], Any]:
    return _many(*[partial(mock.patch, f"{module}.{name}", replacement) for module in modules])


def _storm(plan: Plan) -> None:
    """Dense partitions in a synchronous cluster whose primary often loses only some of its roads."""
    plan.members = max(plan.members, 3)
    plan.settings.update(synchronous_mode=True, synchronous_mode_strict=False, ttl=9, loop_wait=3, retry_timeout=3)
    plan.weights = {"estrange": 3.0, "isolate": 1.0, "api-stall": 2.0, "api-slow": 1.0}
    plan.fault_every_s = 2.5
    plan.foreign = False
    plan.clients, plan.sticky = 4, 3
    plan.admin_every_s = 1e6


def _weather(plan: Plan) -> None:
    """The same cluster with faults of every kind between members and API server."""
    _storm(plan)
    faults = ("api-flaky", "api-lagging-watch", "api-slow", "isolate", "one-way", "split")
    plan.weights = dict.fromkeys(faults, 1.0)


_PAUSES = ("agent-pause", "freeze", "agent-kill", "isolate")
_PARTITIONS = ("isolate", "split", "one-way", "api-outage", "node-crash")
_RULES = "matriarch.ha.rules"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "the lock is written without compare-and-swap",
        _patched(ClusterStore, "_patch", _no_swap),
        _plan(("agent-pause", "api-slow", "isolate", "api-flaky"), fault_every_s=4.0),
        frozenset({1, 2, 3}),
    ),
    Mutant(
        "a lease counts from ten seconds after the request",
        _patched(Keeper, "_granted", _late_lease),
        _plan(_PARTITIONS),
        frozenset({1, 2}),
    ),
    Mutant("init holds no leash", nullcontext, _plan(_PAUSES, leash=False), frozenset({1, 2}), weakens_the_world=True),
    Mutant(
        "anybody may be promoted, whatever the sync object says",
        _many(lambda: mock.patch.object(SyncView, "lists", lambda self, member: True)),
        _plan(_PARTITIONS, synchronous_mode=True, failsafe_mode=False),
        frozenset({3}),
    ),
    Mutant(
        "failsafe needs nobody's agreement",
        _many(lambda: mock.patch.object(Agent, "confirm_failsafe", _any_peer)),
        _plan(_PARTITIONS, failsafe_mode=True),
        frozenset({1, 2}),
    ),
    Mutant(
        "a member agrees to every failsafe claim and forgets it",
        lambda: mock.patch.object(Agent, "accept_failsafe", _agree),
        _plan(("api-outage", "api-outage", "one-way", "isolate"), failsafe_mode=True, fault_every_s=4.0),
        frozenset({1, 2, 3}),
    ),
    Mutant(
        "synchronous_standby_names shrinks before the sync object",
        _patched(sync_rules, "step", _names_first),
        _plan(("isolate", "split", "api-outage", "node-crash"), synchronous_mode=True, fault_every_s=5.0),
        frozenset({3}),
        seeds=150,
    ),
    Mutant(
        "how far behind a candidate is does not matter",
        _many(
            lambda: mock.patch(f"{_RULES}.race._stale", _nothing),
            lambda: mock.patch(f"{_RULES}.race.ahead", lambda *_: False),
        ),
        _plan(
            ("split", "isolate", "node-crash", "one-way"),
            synchronous_mode=False,
            members=5,
            maximum_lag_on_failover=1024,
        ),
        frozenset({4}),
    ),
    Mutant(
        "diverged data streams",
        _everywhere("judge", lambda *_: Verdict.STREAM, f"{_RULES}.follow", f"{_RULES}.recover"),
        _plan(("isolate", "split", "node-crash"), synchronous_mode=False, failsafe_mode=False),
        frozenset({5}),
    ),
    Mutant(
        "slots are dropped as soon as they look unused",
        _many(lambda: mock.patch(f"{_RULES}.slots._forgotten", lambda *_: True)),
        _plan(("pod-force-delete", "api-lagging-watch", "container-kill"), fault_every_s=3.0),
        frozenset({7}),
    ),
    Mutant(
        "a lost lease is not fenced", _many(_rules_without("fence")), _plan(_PARTITIONS, leash=False), frozenset({1, 2})
    ),
    Mutant(
        "the TTL counts as over after half of it",
        _everywhere("expired", lambda seen, ttl, now: now >= seen + ttl / 2, "matriarch_agent.store"),
        _plan(("api-outage", "api-slow", "isolate"), failsafe_mode=False, synchronous_mode=False),
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
        _storm,
        frozenset({1, 3}),
        seeds=100,
    ),
    Mutant(
        "the fast failover takes whatever version the lock has by then",
        _patched(ClusterStore, "take_lock", _newest_version),
        _storm,
        frozenset({1, 2, 3}),
        seeds=100,
    ),
    Mutant(
        "the sync object is written without compare-and-swap",
        _patched(ClusterStore, "_swap", _blind_for_sync),
        _weather,
        frozenset({1, 3}),
        seeds=150,
    ),
)


def _quorum(*faults: str, members: int = 3, count: int = 1, **changes: Any) -> Callable[[Plan], None]:
    """Any `count` acknowledge, so that commits are often missing on the others."""
    adjusted = _plan(faults, synchronous_mode="quorum", synchronous_node_count=count, members=members, **changes)

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

    return _many(_patched(sync_rules, "next_step", next_step), _patched(sync_rules, "_towards", towards))


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
        lambda: mock.patch(f"{_RULES}.race.obstacle", lambda *_: None),
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
        lambda: mock.patch(f"{_RULES}.race.in_time", lambda *_: True),
        _quorum("api-outage", "api-stall", "isolate", fault_every_s=4.0, failsafe_mode=False),
        frozenset({3}),
        seeds=150,
    ),
)


@dataclass(slots=True)
class Catch:
    """How a mutant was noticed."""

    seed: int
    rule: int
    tried: int
    others: list[int] = field(default_factory=list)
    """Seeds on which another rule complained."""
