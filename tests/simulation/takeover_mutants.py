"""Deliberate bugs of the fast failover: its steps left out or swapped, after tests/model/mutants.py.

Most are noticed alone. Some steps are covered by another one, and then the pair is planted:

- *The claim*: without it a lock is taken from a leader that has made do without the candidate meanwhile, which rule 2
  sees. No commit is lost by that: in priority mode the write of the sync object before a promotion covers for it (who
  loses that compare-and-swap is not listed any more), in quorum mode the look whether the list is the one that was
  counted. Without both, commits are lost. That look is covered by the claim; that write is missed alone (mutants.py).
- *The closed receiver, in priority mode*, is covered by the promotion, which ends the receiver: what still came in
  before that is only more, and acknowledged by the very member that is promoted. In quorum mode it is missed.
- *A failsafe claim that is accepted despite a promise* leaves a leader writable that can acknowledge nothing, since the
  receivers are closed. Only the exhaustive model, which counts the agreement itself as a foul, tells the difference.
- *A lock that was taken early and is released early* loses a commit in a sequence of seven steps within five seconds: a
  story shows it (lessons/test_early_lock.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

from matriarch.ha import decide, quorum
from matriarch.ha.actions import Claim, Renew, WriteSync
from matriarch.ha.rules import hold, race, takeover, votes
from matriarch.ha.rules import sync as sync_rules
from matriarch.ha.view import View
from matriarch.words.sync_names import NOBODY
from matriarch_agent import execute
from matriarch_agent.agent import Agent
from simulation.ambush import Ambush
from simulation.checkers.lease import Lease
from simulation.mutant import Mutant, all_of, patched
from simulation.plan import Plan

PRIORITY, ANY = True, "quorum"


def aimed(mode: bool | str, *ambushes: Ambush, **changes: Any) -> Callable[[Plan], None]:
    """The profile `takeover`, with some ambushes more."""

    def adjust(plan: Plan) -> None:
        plan.settings["synchronous_mode"] = mode
        plan.settings["synchronous_mode_strict"] = False
        plan.ambushes += ambushes
        for name, value in changes.items():
            if name in Plan.__dataclass_fields__:
                setattr(plan, name, value)
            else:
                plan.settings[name] = value

    return adjust


def before(step: str, deed: str, victim: str, seconds: float, chance: float = 0.5) -> Ambush:
    return Ambush(step, False, deed, victim, chance, seconds)


def after(step: str, deed: str, victim: str, seconds: float, chance: float = 0.5) -> Ambush:
    return Ambush(step, True, deed, victim, chance, seconds)


def _without(action: type) -> Callable[[Any], Any]:
    """A rule, or a part of one, without an action."""

    def leave_out(real: Any) -> Any:
        def less(view: View) -> Any:
            found = real(view)
            if found is None or isinstance(found, tuple):
                return found and tuple(step for step in found if not isinstance(step, action))
            return replace(found, actions=tuple(step for step in found.actions if not isinstance(step, action)))

        return less

    return leave_out


def _rule_without(name: str, action: type) -> Callable[[], Any]:
    def plant() -> Any:
        rules = tuple(_without(action)(rule) if rule.__name__ == name else rule for rule in decide.RULES)
        return mock.patch.object(decide, "RULES", rules)

    return plant


def _keeps_nothing(real: Any) -> Any:
    """`next_step` that puts names in force whatever the object says."""

    def step(state: quorum.State, goal: quorum.Goal) -> Any:
        if state.breached:
            return real(state, goal)
        with mock.patch.object(quorum, "keeps", lambda *_, **__: True):
            return real(state, goal)

    return step


def _lapses(real: Any) -> Any:
    del real

    def binds(self: View) -> bool:
        sealed = self.memory.promise_sealed_at
        over = sealed is not None and self.now - sealed > 0.15
        return self.memory.promised is not None and self.memory.promised == self.lock.version and not over

    return property(binds)


def _unguarded(real: Any) -> Any:
    """A claim is not looked at, nor that the object names another leader."""

    def step(view: View) -> Any:
        sync = view.sync
        if view.settings.synchronous and (sync.claim is not None or sync.leader not in (None, view.me.name)):
            listed = sync.standbys if sync.leader == view.me.name else ()
            sync = replace(sync, claim=None, leader=view.me.name, standbys=listed)
        return real(replace(view, sync=sync))

    return step


def _whoever(real: Any) -> Any:
    def short(view: View, answers: Any) -> Any:
        with mock.patch.object(votes, "ahead", lambda *_: False):
            return real(view, answers)

    return short


def _open_standby(real: Any) -> Any:
    del real

    async def promise(agent: Agent, view: View, version: str) -> None:
        agent.remember(promised=version, promise_sealed_at=agent.now(), followed=None, followed_epoch=None)

    return promise


async def _sure_of_everything(agent: Agent, action: WriteSync) -> None:
    written = await agent.store.write_sync(action.leader, action.standbys, action.quorum, action.version)
    agent.remember(sync_written=written)


NO_CLAIM = all_of(
    _rule_without("takeover", Claim),
    lambda: mock.patch.object(hold, "_overridden", lambda view: False),
)
"""It is not missed before the promotion either, or a fast failover would never come to one."""
LOOK_AWAY = partial(mock.patch.object, Lease, "holder_changed", lambda self, before, after: None)
"""Whoever does not claim takes the lock of a leader that has made do without it meanwhile: rule 2 sees that at once.
Where it is the loss that is to be shown, rule 2 has to look away."""
NO_WRITE = partial(mock.patch.object, sync_rules, "before_promotion", lambda view: ())

SLOW_TAKE = (before("take", "slow-api", "actor", 2.0), after("claim", "stop", "actor", 1.0, 0.3))
BLIND_LEADER = (before("promise", "silent-watch", "leader", 5.0), after("claim", "silent-watch", "former", 5.0))

TAKEOVER_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "fewer acknowledge before the quorum has grown",
        patched(sync_rules, "next_step", _keeps_nothing),
        aimed(
            ANY,
            before("names", "slow-disk", "listed", 2.0),
            after("names", "stop", "actor", 6.0),
            after("names", "alone", "actor", 8.0),
            admin_every_s=2.0,
            admin_kinds=("count",),
        ),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "the quorum shrinks before the standbys have caught up",
        lambda: mock.patch.object(quorum, "least_quorum", lambda state, voters: 0),
        aimed(
            ANY,
            before("names", "slow-disk", "listed", 2.0, 1.0),
            after("list", "alone", "actor", 8.0),
            weights={"postgres-slow": 1.0},
            members=3,
            admin_every_s=3.0,
            admin_kinds=("nosync",),
            synchronous_node_count=1,
        ),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "a promise lapses before the lock has moved",
        patched(View, "promise_binds", _lapses),
        aimed(
            ANY,
            before("claim", "slow-api", "actor", 3.0),
            before("take", "slow-api", "actor", 3.0),
            after("promise", "no-api", "leader", 8.0),
            after("promise", "rejoined", "other", 1.0),
            ttl=30,
            loop_wait=10,
            retry_timeout=10,
        ),
        frozenset({1, 2, 3}),
        seeds=120,
        profile="takeover",
    ),
    Mutant(
        "nobody claims",
        NO_CLAIM,
        aimed(PRIORITY, *SLOW_TAKE),
        frozenset({2}),
        profile="takeover",
    ),
    Mutant(
        "nobody claims, and the sync object is not written before a promotion",
        all_of(NO_CLAIM, NO_WRITE, LOOK_AWAY),
        aimed(
            PRIORITY,
            *SLOW_TAKE,
            before("list", "silent-watch", "actor", 9.0),
            after("names", "no-api", "actor", 9.0),
            admin_kinds=("count", "nosync"),
        ),
        frozenset({1, 3}),
        profile="takeover",
    ),
    Mutant(
        "nobody claims, and a list that grew since the promises were counted is trusted",
        all_of(NO_CLAIM, LOOK_AWAY),
        aimed(
            ANY,
            after("lands", "alone", "listed", 9.0, 1.0),
            before("take", "stop", "actor", 1.5, 1.0),
            before("take", "silent-watch", "former", 9.0, 1.0),
            weights={"rift": 1.0},
            members=3,
            admin_every_s=1.5,
            admin_kinds=("nosync",),
            synchronous_node_count=1,
            ttl=30,
            loop_wait=10,
            retry_timeout=10,
            failsafe_mode=False,
        ),
        frozenset({1, 3}),
        profile="takeover",
    ),
    Mutant(
        "a claim is overridden without a renewal",
        all_of(patched(sync_rules, "step", _without(Renew)), patched(sync_rules, "certain", _without(Renew))),
        aimed(PRIORITY, *BLIND_LEADER),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "a claim is not looked at",
        patched(sync_rules, "step", _unguarded),
        aimed(PRIORITY, *BLIND_LEADER),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "a promise leaves the receiver open",
        all_of(
            patched(execute, "_promise", _open_standby),
            lambda: mock.patch.object(
                View, "promise_kept", property(lambda v: v.lock.version if v.promise_binds else None)
            ),
        ),
        aimed(
            ANY,
            after("take", "no-api", "former", 8.0),
            after("promise", "no-api", "leader", 8.0),
            after("take", "rejoined", "former", 1.0),
        ),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "whoever counted enough promises may be behind those who gave them",
        patched(takeover, "short_of_promises", _whoever),
        aimed(ANY, after("ask", "slow-disk", "other", 3.0, 0.3)),
        frozenset({3}),
        profile="takeover",
    ),
    Mutant(
        "a race counts on answers from before the lock was free",
        lambda: mock.patch.object(race, "in_time", lambda *_: True),
        aimed(
            ANY,
            after("renew", "no-api", "actor", 20.0, 0.5),
            before("renew", "slow-disk", "listed", 8.0, 0.5),
            weights={"postgres-slow": 1.0},
            failsafe_mode=False,
            ttl=9,
            loop_wait=3,
            retry_timeout=3,
        ),
        frozenset({1, 2, 3}),
        seeds=120,
        profile="takeover",
    ),
    Mutant(
        "an agent that starts anew does not keep its promise",
        lambda: mock.patch.object(View, "may_have_promised", property(lambda view: False)),
        aimed(
            ANY,
            before("claim", "slow-api", "actor", 6.0, 1.0),
            before("claim", "no-api", "former", 8.0, 1.0),
            before("claim", "kill", "other", 0.1, 1.0),
            before("claim", "rejoined", "other", 0.1, 1.0),
            weights={"rift": 1.0},
            members=3,
            ttl=30,
            loop_wait=10,
            retry_timeout=10,
            failsafe_mode=False,
        ),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "a write without an answer counts as one that never happened",
        lambda: mock.patch.object(execute, "_write_sync", _sure_of_everything),
        aimed(
            PRIORITY,
            before("list", "stall-api", "actor", 3.0),
            before("list", "reset", "actor", 9.0),
            after("lands", "no-api", "actor", 9.0),
            admin_every_s=3.0,
            admin_kinds=("nosync",),
            synchronous_node_count=1,
            failsafe_mode=False,
        ),
        frozenset({1, 2, 3}),
        profile="takeover",
    ),
    Mutant(
        "a promoted standby lets commits through in strict mode",
        lambda: mock.patch.object(sync_rules, "BLOCKED", NOBODY),
        aimed(PRIORITY, synchronous_mode_strict=True),
        frozenset({3}),
        profile="takeover",
    ),
)
