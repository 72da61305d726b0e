"""Deliberate bugs. Each takes one safeguard away; the simulator has to notice, or its checkers prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest import mock

from matriarch.ha import decide as decide_module
from matriarch.ha.actions import Decision, SetSyncNames, WriteSync
from matriarch.ha.divergence import Verdict
from matriarch.ha.failsafe import Verdict as FailsafeVerdict
from matriarch.ha.records import Renewal
from matriarch.ha.rules import sync as sync_rules
from matriarch.ha.view import SyncView, View
from matriarch.words.names import sync_object
from matriarch.words.sync_names import every
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


def _no_swap(method: Any) -> Any:
    async def patch(self: ClusterStore, name: str, body: Any, timeout: float) -> str:
        metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
        return str(await method(self, name, {**body, "metadata": metadata}, timeout))

    return patch


def _late_lease(method: Any) -> Any:
    async def granted(self: Keeper, sent: float, renewal: Renewal) -> None:
        await method(self, sent + 10.0, renewal)

    return granted


async def _any_peer(self: Agent, view: View) -> None:
    await self.keeper.extend(self.now(), view.settings.ttl)


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
        "a rewind does not wait for the archive",
        all_of(lambda: mock.patch.object(decide_module, "archive_first", lambda view, decision: decision)),
        under(
            ("isolate", "split", "node-crash", "container-kill"),
            synchronous_mode=False,
            postgresql={"parameters": {"max_connections": 100, "archive_mode": "on", "archive_command": "true"}},
        ),
        frozenset({7}),
        seeds=150,
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
    async def blind(self: ClusterStore, name: str, body: Any, version: str | None, timeout: float = 3.0) -> str:
        if version is not None and name == sync_object(self._me.cluster):
            return await self._patch(name, body, timeout)
        return str(await swap(self, name, body, version, timeout))

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
