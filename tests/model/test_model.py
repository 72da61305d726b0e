"""The fast failover, every interleaving within bounds: it holds, it comes about, and it needs its steps.

MATRIARCH_MODEL=large explores the larger scenarios, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from model.coverage import may_promise, supports
from model.explore import Outcome, explore
from model.mutants import BROKEN, COVERED, Covered, Mutant
from model.scenario import Protocol, Scenario
from model.scenarios import LARGE, PRIORITY, QUORUM, B, C
from model.state import SyncObject

SCENARIOS = {scenario.title: scenario for scenario in (*PRIORITY, *QUORUM)}
EXPLORED = {**SCENARIOS, **({s.title: s for s in LARGE} if os.environ.get("MATRIARCH_MODEL") == "large" else {})}


SOUND = Protocol()


@cache
def explored(title: str, protocol: Protocol = SOUND) -> Outcome:
    return explore(replace(EXPLORED[title], protocol=protocol))


def happened(outcome: Outcome, words: str) -> bool:
    return any(words in text for text in outcome.happened)


@pytest.mark.parametrize("title", EXPLORED)
def test_the_protocol_holds_and_a_takeover_comes_about(title: str) -> None:
    outcome = explored(title)
    assert not outcome.violation, outcome.report()
    assert happened(outcome, "b takes the lock")
    assert happened(outcome, "b is promoted")
    if EXPLORED[title].budget.promotions > 1:
        # The former primary, synchronous with its successor, succeeds that one.
        assert happened(outcome, "a counts enough promises")
    if EXPLORED[title].failsafe:
        assert happened(outcome, "a is confirmed under failsafe")


@pytest.mark.parametrize("mutant", BROKEN, ids=str)
def test_what_is_left_out_is_missed(mutant: Mutant) -> None:
    outcome = explored(mutant.where, mutant.protocol)
    assert mutant.says in outcome.violation, outcome.report()
    assert outcome.story


@pytest.mark.parametrize(("covered", "title"), [(one, title) for one in COVERED for title in one.where], ids=str)
def test_what_another_step_covers_is_not_missed(covered: Covered, title: str) -> None:
    outcome = explored(title, covered.protocol)
    assert not outcome.violation, f"not covered by: {covered.by}\n{outcome.report()}"


def test_every_step_is_left_out_somewhere() -> None:
    tried = {name for mutant in BROKEN for name in Protocol.__dataclass_fields__ if getattr(mutant.protocol, name)}
    assert tried == set(Protocol.__dataclass_fields__)


def test_a_minority_takes_nothing() -> None:
    few = Scenario("c never promises", members=3, voters=B | C, quorum=1, any_k=True, changes=False, silent=C)
    outcome = explore(few)
    assert not outcome.violation
    assert not happened(outcome, "b counts")


def _objects() -> Iterator[SyncObject]:
    for voters in range(0, 16, 2):
        for quorum in range(max(1, voters.bit_count())):
            yield SyncObject(0, voters, quorum)


@pytest.mark.parametrize("sync", list(_objects()), ids=str)
def test_the_counts_are_exact(sync: SyncObject) -> None:
    """`supports` and `may_promise` against their meaning, spelled out over every set of four members."""
    sets = range(0, 16, 2)

    def hits(voters: int, quorum: int, holders: int) -> bool:
        return (voters & ~holders).bit_count() <= quorum

    for names in sets:
        for needed in range(names.bit_count() + 1):
            acks = [one for one in sets if one & names == one and one.bit_count() == needed]
            meant = not sync.voters or all(hits(sync.voters, sync.quorum, one) for one in acks)
            assert supports(names, needed, sync) == meant
    for confirmed in sets:
        possible = [one for one in sets if confirmed & ~one == 0 and hits(sync.voters, sync.quorum, one)]
        for new in _objects():
            assert may_promise(sync, confirmed, new) == all(hits(new.voters, new.quorum, one) for one in possible)
