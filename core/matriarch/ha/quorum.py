"""How the sync object and synchronous_standby_names change together, one safe step at a time (rule 3).

The object names the voters and a number `quorum`: any `quorum` + 1 of the voters together have every acknowledged
commit, so whoever is the most advanced of so many may be promoted. Priority mode is the case of quorum 0: each voter
has everything. Two conditions keep that promise at every instant, whatever step is the last one that was taken (after
Patroni's quorum state machine, whose invariant the first one is):

- *What is to come.* Commits wait for `count` of the names in force, so as long as there are voters,
  |voters or names| <= quorum + count: a commit misses at most `quorum` of the voters.
- *What has been.* The object may be rewritten only when at most its new quorum of its new voters may lack a commit of
  before. A standby is *sure* when it has flushed everything up to where the names came in force; of the other former
  voters, at most the former quorum may lack something; of the other new ones, all.

Neither the leader nor its own name is counted: it has everything of its own.
"""

from __future__ import annotations

from matriarch.words.facts import fact
from matriarch.words.sync_names import SyncNames

Names = frozenset[str]


@fact(frozen=True, slots=True)
class Promise:
    """The sync object: any `quorum` + 1 of `voters` together have every acknowledged commit."""

    voters: Names = frozenset()
    quorum: int = 0


@fact(frozen=True, slots=True)
class Goal:
    """What is wanted: that commits wait for `count` of `names`, and each of those is a voter."""

    names: Names
    count: int

    @property
    def sync_names(self) -> tuple[str, ...]:
        """The names in a stable order."""
        return tuple(sorted(self.names))


@fact(frozen=True, slots=True)
class State:
    """Where things stand: the object, what commits wait for, and the standbys that are sure."""

    promise: Promise
    names: Names
    count: int
    blocked: bool
    """No commit is acknowledged at all (strict mode, nobody named)."""
    sure: Names

    @property
    def breached(self) -> bool:
        """The object promises more than Postgres keeps: by a person's hand, or another agent's."""
        return not keeps(self.promise, self.names, self.count, blocked=self.blocked)


def state_of(promise: Promise, in_force: SyncNames, sure: Names) -> State:
    """A state from the object and from Postgres."""
    return State(promise, frozenset(in_force.names), in_force.count, in_force.blocks, sure)


def keeps(promise: Promise, names: Names, count: int, *, blocked: bool = False) -> bool:
    """Whether every commit that waits for `count` of `names` is as the object promises."""
    return blocked or not promise.voters or len(promise.voters | names) <= promise.quorum + count


def least_quorum(state: State, voters: Names) -> int:
    """The smallest quorum that the commits of before allow for `voters`."""
    former = state.promise.voters
    missing_before = min(state.promise.quorum, len((voters & former) - state.sure))
    return missing_before + len(voters - former - state.sure)


def next_step(state: State, goal: Goal) -> Promise | Goal | None:
    """The next single step towards a goal: an object to write, or names to put in force; None when it is reached, or
    when only time helps (a standby has still to catch up)."""
    if state.breached:
        return _taken_back(state)
    if not goal.names:
        return _towards_nobody(state)
    goal = _within_reach(state, goal)
    there = (state.names, state.count) == (goal.names, goal.count) and not state.blocked
    if not there and keeps(state.promise, goal.names, goal.count) and _nested(state.promise.voters, goal.names):
        return goal
    return _rewritten(state, goal, there)


def _taken_back(state: State) -> Promise:
    """Promise no more than Postgres keeps."""
    voters = state.promise.voters & state.names
    quorum = max(state.promise.quorum, len(state.names) - state.count)
    return Promise(voters, quorum) if voters and quorum < len(voters) else Promise()


def _towards_nobody(state: State) -> Promise | Goal | None:
    if state.promise.voters:
        return Promise()
    return Goal(frozenset(), 0) if state.names or state.blocked else None


def _within_reach(state: State, goal: Goal) -> Goal:
    """Let go first, then take in; and take in only who is sure, so that a laggard makes nobody else less electable."""
    kept = goal.names & state.names
    if not kept:
        return goal
    names = kept if state.names - goal.names else kept | (goal.names & state.sure)
    return Goal(names, min(goal.count, len(names)))


def _rewritten(state: State, goal: Goal, there: bool) -> Promise | None:
    """The object that suits what is in force and the goal; where there is no useful one, what lets the goal come."""
    voters = goal.names & (state.promise.voters | state.sure)
    quorum = max(
        len(voters | state.names) - state.count if not state.blocked else 0,
        len(voters | goal.names) - goal.count,
        least_quorum(state, voters),
    )
    wanted = Promise(voters, quorum)
    if voters and quorum < len(voters) and (_nested(voters, state.names) or state.blocked):
        return wanted if wanted != state.promise else None
    if there:
        # In force already: nobody is sure yet, and the object of before still holds.
        return None
    former = state.promise.voters
    quorum = max(state.promise.quorum, len(former | goal.names) - goal.count)
    useful = goal.names <= former and state.promise.quorum < quorum < len(former)
    return Promise(former, quorum) if useful else Promise()


def _nested(one: Names, other: Names) -> bool:
    return one <= other or other <= one
