"""Breadth-first through every state that a scenario allows; the first violation comes with its shortest story."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from model import failsafe, passing, primary, replication, standby
from model.invariants import violation
from model.scenario import Scenario
from model.state import PRIMARY, State, Step

ACTORS = (replication.steps, primary.steps, standby.steps, failsafe.steps, passing.steps)


@dataclass(slots=True)
class Outcome:
    """What an exploration found. `seen` counts what happened, by the words without the names."""

    scenario: Scenario
    states: int = 0
    transitions: int = 0
    violation: str = ""
    story: list[str] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)

    def report(self) -> str:
        if not self.violation:
            return f"{self.scenario.title}: holds in {self.states} states"
        lines = [f"{self.scenario.title}: {self.violation} ({self.states} states)"]
        return "\n".join([*lines, *(f"  {n:2d}. {line}" for n, line in enumerate(self.story, 1))])


def successors(scenario: Scenario, state: State) -> Iterator[Step]:
    for actor in ACTORS:
        for text, after in actor(scenario, state):
            yield Step(text, after if after.servers is state.servers else replication.acknowledge(after))


def over(state: State) -> bool:
    """Nothing can go wrong any more: nobody else will be promoted, and no earlier primary is left.

    For the same reason the actors leave out, after the last promotion, whatever only the latest primary or a candidate
    would do: what an earlier primary still does is all that matters then.
    """
    return not state.budget.promotions and all(
        server.role != PRIMARY or m == state.latest for m, server in enumerate(state.servers)
    )


def explore(scenario: Scenario, most: int = 5_000_000) -> Outcome:
    """Visit every reachable state, or stop at the first that breaks an invariant."""
    start = scenario.start()
    outcome = Outcome(scenario)
    came: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        for text, after in successors(scenario, state):
            outcome.transitions += 1
            if after in came:
                continue
            came[after] = (state, text)
            outcome.happened[text] += 1
            broken = violation(scenario, after)
            if broken:
                outcome.violation, outcome.story, outcome.states = broken, _story(came, after), len(came)
                return outcome
            if not over(after):
                queue.append(after)
        if len(came) > most:
            raise RuntimeError(f"{scenario.title}: more than {most} states")
    outcome.states = len(came)
    return outcome


def _story(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    lines = []
    step = came[state]
    while step is not None:
        lines.append(step[1])
        step = came[step[0]]
    return lines[::-1]
