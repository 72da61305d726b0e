"""Failsafe: a primary that cannot reach the API server goes on while every member accepts it."""

from __future__ import annotations

from collections.abc import Iterator

from model.scenario import Scenario
from model.state import ALONE, HOLDS, NOBODY, PRIMARY, State, Step, each, everybody, has, name, on_agent


def steps(scenario: Scenario, state: State) -> Iterator[Step]:
    if not scenario.failsafe:
        return
    for m, server in enumerate(state.servers):
        if server.role == PRIMARY:
            yield from _asks(scenario, state, m)
    yield from _words_run_out(state)


def _asks(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    agent = state.agents[m]
    others = everybody(state) & ~(1 << m)
    if agent.round < 0:
        yield Step(f"{name(m)} asks everybody for leave to go on", on_agent(state, m, round=0))
        return
    for o in each(others & ~agent.round):
        if _accepts(scenario, state, o, m):
            after = on_agent(state, m, round=agent.round | 1 << o)
            yield Step(f"{name(o)} accepts {name(m)} under failsafe", on_agent(after, o, accepted=True))
    least = others.bit_count() // 2 if scenario.protocol.failsafe_by_majority else others.bit_count()
    if agent.round.bit_count() >= least:
        after = on_agent(state, m, round=-1, kept=True)
        if state.lock.holder not in (m, NOBODY):
            after = after._replace(foul="failsafe was confirmed after another member took the lock")
        yield Step(f"{name(m)} is confirmed under failsafe", after)
    yield Step(f"{name(m)} gives the failsafe round up", on_agent(state, m, round=-1))


def _accepts(scenario: Scenario, state: State, o: int, claimant: int) -> bool:
    other = state.agents[o]
    if state.servers[o].role == PRIMARY or other.stage in (HOLDS, ALONE) or state.lock.holder not in (claimant, NOBODY):
        return False
    return not other.promise or scenario.protocol.failsafe_despite_promise


def _words_run_out(state: State) -> Iterator[Step]:
    """An acceptance outlives the lease that was built on it: it came later than the question was sent."""
    primaries = [m for m, server in enumerate(state.servers) if server.role == PRIMARY]
    kept = any(state.agents[m].kept for m in primaries)
    for o, other in enumerate(state.agents):
        counted = kept or any(state.agents[m].round > 0 and has(state.agents[m].round, o) for m in primaries)
        if other.accepted and not counted:
            yield Step(f"the failsafe word of {name(o)} binds no more", on_agent(state, o, accepted=False))
