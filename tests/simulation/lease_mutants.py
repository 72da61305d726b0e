"""Deliberate bugs in how the lock is kept, in failsafe mode, and in who may found, join or lead a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

from matriarch.ha import records
from matriarch.ha.actions import Decision, StartPrimary
from matriarch.ha.documents import status
from matriarch.ha.rules import bootstrap, race
from matriarch.ha.tags import Tags
from matriarch.ha.view import View
from matriarch_agent.agent import FAILSAFE_TIMEOUT_S, Agent
from matriarch_agent.keeper import Keeper
from matriarch_agent.ports import FailsafeClaim
from matriarch_agent.store import ClusterStore
from simulation.mutant import PARTITIONS, PAUSES, RULES, Mutant, everywhere, patched, under
from simulation.plan import Plan


async def _renew_blindly(self: ClusterStore, renewal: records.Renewal, timeout: float, *_: Any) -> None:
    await self._patch(self._seen.lock_name, records.renew_body(self._me, renewal, True), timeout)


def _from_the_answer(method: Any) -> Any:
    async def granted(self: Keeper, sent: float, renewal: records.Renewal) -> None:
        del sent
        await method(self, self._now(), renewal)

    return granted


async def _stay_unleashed(self: Keeper) -> None:
    self.armed = False


def _later(method: Any) -> Any:
    async def tell(self: Keeper) -> None:
        until = self.lease_until
        if self.armed and until is not None:
            await self._init.set_lease(until + 5.0)

    del method
    return tell


def _failsafe(enough: Any) -> Any:
    """Failsafe with another idea of `enough`."""

    async def confirm(self: Agent, view: View) -> None:
        sent = self.now()
        claim = FailsafeClaim(self.me.name, status.api_url(self.me), status.conn_url(self.me))
        others = [url for name, url in (view.lock.failsafe or {}).items() if name != self.me.name]
        accepted = await asyncio.gather(*(self.peers.claim(url, claim, timeout=FAILSAFE_TIMEOUT_S) for url in others))
        if enough(accepted):
            await self.keeper.extend(sent, view.settings.ttl)

    return confirm


def _found_again(real: Any) -> Any:
    def as_holder(view: View) -> Decision:
        with mock.patch.object(bootstrap, "is_sysid", lambda text: False):
            found: Decision = real(view)
        return found

    return as_holder


def _whatever_the_tag(real: Any) -> Any:
    def not_eligible(view: View) -> str | None:
        why: str | None = real(view)
        return None if why == "tag nofailover" else why

    return not_eligible


def _tagged(plan: Plan) -> None:
    under(("node-crash", "pod-delete", "isolate"), synchronous_mode=False, fault_every_s=5.0)(plan)
    plan.tags = {2: Tags(nofailover=True)}
    plan.settings["member_tags"] = {"demo-2": {"nofailover": True}}


def _uncut(method: Any) -> Any:
    async def announce(self: Keeper, sent: float, renewal: records.Renewal) -> None:
        until = self.lease_until
        await method(self, sent, renewal)
        self.lease_until = until
        await self._tell_init()

    return announce


def _by_own_ttl(view: View) -> bool:
    heard = view.failsafe.heard_at
    return heard is not None and view.now < heard + view.settings.ttl and view.lock.seen_at <= heard


def _retimed(
    *faults: str, fault_every_s: float = 3.0, admin_every_s: float = 4.0, **changes: Any
) -> Callable[[Plan], None]:
    """A person changes the timing all the time."""
    adjusted = under(faults, failsafe_mode=True, fault_every_s=fault_every_s, **changes)

    def adjust(plan: Plan) -> None:
        adjusted(plan)
        plan.admin_kinds, plan.admin_every_s = ("timing",), admin_every_s

    return adjust


LEASE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a renewal is no compare-and-swap",
        lambda: mock.patch.object(ClusterStore, "renew_lock", _renew_blindly),
        under(("agent-pause", "freeze", "api-stall", "isolate"), fault_every_s=4.0),
        frozenset({1, 2, 3}),
    ),
    Mutant(
        "a lease counts from the answer to its renewal",
        patched(Keeper, "_granted", _from_the_answer),
        under(("api-slow", "api-slow", "api-outage"), fault_every_s=4.0, failsafe_mode=False, synchronous_mode=False),
        frozenset({1, 2}),
        seeds=150,
    ),
    Mutant(
        "Postgres is promoted off the leash",
        lambda: mock.patch.object(Keeper, "arm", _stay_unleashed),
        under(PAUSES),
        frozenset({1, 2}),
    ),
    Mutant(
        "init is told of the lease's end five seconds late",
        patched(Keeper, "_tell_init", _later),
        under(PAUSES),
        frozenset({1, 2}),
    ),
    Mutant(
        "failsafe needs a majority only",
        lambda: mock.patch.object(Agent, "confirm_failsafe", _failsafe(lambda a: 2 * sum(a) + 1 > len(a))),
        under(("api-outage", "isolate", "split"), failsafe_mode=True, fault_every_s=4.0),
        frozenset({1, 2}),
    ),
    Mutant(
        "a member's word under failsafe does not bind it",
        lambda: mock.patch.object(View, "claim_binds", property(lambda self: False)),
        under(("api-outage", "api-outage", "one-way", "isolate"), failsafe_mode=True, fault_every_s=4.0),
        frozenset({1, 2, 3}),
        seeds=150,
    ),
    Mutant(
        "a primary starts without its synchronous standbys",
        everywhere("start_primary", lambda view: StartPrimary(), f"{RULES}.recover", f"{RULES}.sync"),
        under(("container-kill", "postgres-kill", "isolate", "split"), synchronous_mode=True, fault_every_s=4.0),
        frozenset({1, 3}),
    ),
    Mutant(
        "a holder without data founds the cluster again",
        patched(bootstrap, "_as_holder", _found_again),
        under(("node-loss",), fault_every_s=6.0, synchronous_mode=False),
        frozenset({7}),
    ),
    Mutant(
        "the tag nofailover is not looked at",
        patched(race, "_not_eligible", _whatever_the_tag),
        _tagged,
        frozenset({4}),
    ),
    Mutant(
        "a shorter ttl is told and the lease not cut",
        patched(Keeper, "_announce", _uncut),
        _retimed("api-outage", "isolate", synchronous_mode=False),
        frozenset({1, 2}),
    ),
    Mutant(
        "a member is bound by its own ttl, however long a failsafe claim asked",
        lambda: mock.patch.object(View, "claim_binds", property(_by_own_ttl)),
        # Faults that are rarer let an outage last: the leader has to live on claims for longer than the others' ttl.
        _retimed("api-outage", "isolate", fault_every_s=10.0, admin_every_s=6.0, synchronous_mode=False),
        frozenset({1, 2}),
        seeds=150,
    ),
    Mutant(
        "a lost lease is fenced a TTL later",
        lambda: mock.patch.object(View, "holds_lease", property(lambda v: v.lease_until is not None)),
        under(PARTITIONS, leash=False),
        frozenset({1, 2}),
        weakens_the_world=True,
    ),
)
