"""Rule 3: the sync object and synchronous_standby_names change together, and every single step may be the last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matriarch.ha.quorum import Goal, Names, Promise, State, keeps, least_quorum, next_step

STANDBYS = ("a", "b", "c", "d")


def some(*names: str) -> Names:
    return frozenset(names)


def subsets(names: str, least: int = 0) -> Iterator[Names]:
    for size in range(least, len(names) + 1):
        yield from map(frozenset, combinations(names, size))


def promises(names: str) -> Iterator[Promise]:
    yield Promise()
    for voters in subsets(names, 1):
        yield from (Promise(voters, quorum) for quorum in range(len(voters)))


@dataclass(frozen=True)
class Site:
    """A primary, its object, and for every commit that it may have acknowledged who has it (the fewest possible)."""

    promise: Promise
    names: Names
    count: int
    blocked: bool
    commits: frozenset[Names]
    sure: Names = frozenset()

    def state(self) -> State:
        return State(self.promise, self.names, self.count, self.blocked, self.sure)

    def acknowledges(self) -> Site:
        """The worst that can be acknowledged now: by exactly `count` of the names, any of them."""
        if self.blocked:
            return self
        more = frozenset(map(frozenset, combinations(sorted(self.names), self.count)))
        return replace(self, commits=_fewest(self.commits | more))

    def catches_up(self, name: str) -> Site:
        """A standby flushes all there is."""
        commits = frozenset(holders | {name} for holders in self.commits)
        return replace(self, commits=_fewest(commits), sure=self.sure | {name})

    def stepped(self, step: Promise | Goal) -> Site:
        """One step is carried out: an object is written, or names come into force and everybody has to prove anew."""
        if isinstance(step, Promise):
            return replace(self, promise=step)
        # While the reload is under way commits are let through under the former names still.
        names = replace(self, names=step.names, count=step.count, blocked=False, sure=frozenset())
        return names.acknowledges()

    def broken(self) -> str | None:
        """A set of voters that may promote its most advanced member, and lacks an acknowledged commit."""
        promise = self.promise
        for together in combinations(sorted(promise.voters), promise.quorum + 1):
            lost = [holders for holders in self.commits if not holders & frozenset(together)]
            if lost:
                return f"{together} may promote without a commit of {[sorted(one) for one in lost]}"
        return None


def _fewest(commits: frozenset[Names]) -> frozenset[Names]:
    return frozenset(one for one in commits if not any(other < one for other in commits))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, object]]:
    """What may happen, in any order: a step towards some goal, an acknowledgement, a standby that catches up."""
    goals = st.builds(Goal, st.frozensets(st.sampled_from(STANDBYS)), st.integers(1, 3))
    happening = st.one_of(
        st.tuples(st.just("step"), goals),
        st.tuples(st.just("steps"), goals),
        st.tuples(st.just("acknowledge"), st.none()),
        st.tuples(st.just("catch up"), st.sampled_from(STANDBYS)),
    )
    return draw(st.lists(happening, min_size=1, max_size=30))


@settings(max_examples=400)
@given(histories())
def test_no_history_lets_anybody_be_promoted_without_an_acknowledged_commit(history: list[tuple[str, object]]) -> None:
    site = Site(Promise(), frozenset(), 0, False, frozenset({frozenset()}))
    for what, about in history:
        if what == "acknowledge":
            site = site.acknowledges()
        elif what == "catch up":
            site = site.catches_up(str(about))
        else:
            assert isinstance(about, Goal)
            goal = Goal(about.names, min(about.count, len(about.names)))
            for _ in range(1 if what == "step" else 3):
                site = site.acknowledges()
                step = next_step(site.state(), goal)
                if step is None:
                    break
                site = site.stepped(step)
                assert_sound(site)
        assert_sound(site)


def assert_sound(site: Site) -> None:
    assert keeps(site.promise, site.names, site.count, blocked=site.blocked), site
    assert site.promise.voters <= site.names or site.names <= site.promise.voters, site
    assert site.broken() is None, f"{site.broken()}: {site}"
    # As long as anybody is named, somebody else than the leader can be promoted: the quorum is less than the voters.
    assert not site.promise.voters or site.promise.quorum < len(site.promise.voters), site


def test_every_goal_is_reached_from_everywhere_once_standbys_catch_up() -> None:
    """Exhaustive for three standbys, with every promise, names, count and goal; and nothing is promised on the way that
    is not kept."""
    longest = 0
    for promise in promises("abc"):
        for names in subsets("abc"):
            for count in range(min(1, len(names)), len(names) + 1):
                if not keeps(promise, names, count) or not (promise.voters <= names or names <= promise.voters):
                    continue
                for wanted in subsets("abc"):
                    for most in (1, 2, 3):
                        goal = Goal(wanted, min(most, len(wanted)))
                        longest = max(longest, _steps_to(State(promise, names, count, False, wanted), goal))
    assert longest <= 4


def _steps_to(state: State, goal: Goal) -> int:
    for taken in range(10):
        step = next_step(state, goal)
        if step is None:
            assert state.promise == Promise(goal.names, len(goal.names) - goal.count), (state, goal)
            assert (state.names, state.count) == (goal.names, goal.count), (state, goal)
            return taken
        if isinstance(step, Promise):
            state = replace(state, promise=step)
        else:
            state = replace(state, names=step.names, count=step.count)
        assert keeps(state.promise, state.names, state.count)
    raise AssertionError(f"no end: {state} {goal}")


A, AB, ABC = some("a"), some("a", "b"), some("a", "b", "c")


@pytest.mark.parametrize(
    ("state", "goal", "steps"),
    [
        # the first standbys: Postgres first
        (State(Promise(), some(), 0, False, AB), Goal(AB, 1), [Goal(AB, 1), Promise(AB, 1)]),
        # one more of them, as many acknowledging: voters first
        (State(Promise(AB, 1), AB, 1, False, ABC), Goal(ABC, 1), [Promise(ABC, 2), Goal(ABC, 1)]),
        # one leaves: Postgres first
        (State(Promise(ABC, 2), ABC, 1, False, AB), Goal(AB, 1), [Goal(AB, 1), Promise(AB, 1)]),
        # the last one leaves: voters first
        (State(Promise(some("a"), 0), some("a"), 1, False, some()), Goal(some(), 0), [Promise(), Goal(some(), 0)]),
        # more have to acknowledge: Postgres first, and the quorum shrinks once they have
        (State(Promise(AB, 1), AB, 1, False, AB), Goal(AB, 2), [Goal(AB, 2), Promise(AB, 0)]),
        # fewer: the quorum grows first
        (State(Promise(AB, 0), AB, 2, False, AB), Goal(AB, 1), [Promise(AB, 1), Goal(AB, 1)]),
        # one of two that all acknowledged leaves: not a voter any more before nobody waits for it
        (State(Promise(AB, 0), AB, 2, False, A), Goal(A, 1), [Promise(A, 0), Goal(A, 1)]),
        # priority mode to quorum mode, and back
        (State(Promise(some("a"), 0), some("a"), 1, False, AB), Goal(AB, 1), [Promise(AB, 1), Goal(AB, 1)]),
        (State(Promise(AB, 1), AB, 1, False, AB), Goal(some("a"), 1), [Goal(some("a"), 1), Promise(some("a"), 0)]),
        # somebody put fewer names in force than the object promises
        (State(Promise(AB, 0), some("a"), 1, False, AB), Goal(some("a"), 1), [Promise(some("a"), 0)]),
        (State(Promise(AB, 1), some(), 0, False, AB), Goal(AB, 1), [Promise(), Goal(AB, 1), Promise(AB, 1)]),
    ],
)
def test_the_orders(state: State, goal: Goal, steps: list[Promise | Goal]) -> None:
    for expected in steps:
        step = next_step(state, goal)
        assert step == expected
        if isinstance(step, Promise):
            state = replace(state, promise=step)
        else:
            state = replace(state, names=step.names, count=step.count)
    assert next_step(state, goal) is None


def test_who_has_not_caught_up_is_waited_for() -> None:
    just_named = State(Promise(), AB, 1, False, some())
    assert next_step(just_named, Goal(AB, 1)) is None
    assert next_step(replace(just_named, sure=some("a")), Goal(AB, 1)) is None, "a alone could not be promoted"
    lagging = State(Promise(AB, 1), AB, 1, False, AB)
    assert next_step(lagging, Goal(ABC, 1)) is None, "a laggard must not make the others less electable"


def test_a_quorum_shrinks_only_by_those_who_are_sure() -> None:
    before = State(Promise(ABC, 2), AB, 1, False, some())
    assert least_quorum(before, AB) == 2
    assert least_quorum(replace(before, sure=some("a")), AB) == 1
    assert least_quorum(replace(before, sure=some("a")), some("a", "d")) == 1, "who is new and not sure may lack all"
