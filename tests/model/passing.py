"""What happens to everybody: time passes, late writes land, agents are killed."""

from __future__ import annotations

from collections.abc import Iterator

from model.primary import fenced
from model.scenario import Scenario
from model.state import IDLE, NOBODY, PRIMARY, State, Step, name, on_agent, spend, write_lock, write_sync


def steps(scenario: Scenario, state: State) -> Iterator[Step]:
    if scenario.expiry and state.budget.promotions:
        yield from _ttl_passes(state)
    yield from _failsafe_runs_out(state)
    yield from _late_write_lands(state)
    if state.budget.restarts:
        for m in range(len(state.servers)):
            yield Step(
                f"the agent of {name(m)} is killed and starts again", spend(_forgets(scenario, state, m), restarts=1)
            )


def _ttl_passes(state: State) -> Iterator[Step]:
    """Leases are over before anybody may act on the lock's expiry, unless failsafe keeps their holder."""
    if state.lock.holder == NOBODY or state.lock.expired:
        return
    after = state._replace(lock=state.lock._replace(expired=True))
    for m, (server, agent) in enumerate(zip(state.servers, state.agents, strict=True)):
        if server.role == PRIMARY and not agent.kept:
            after = fenced(after, m)
        elif m == state.lock.holder and server.role != PRIMARY:
            after = on_agent(after, m, stage=IDLE, seen=None, fresh=False)
    yield Step("the TTL passes", after)


def _failsafe_runs_out(state: State) -> Iterator[Step]:
    for m, agent in enumerate(state.agents):
        if agent.kept:
            leads = state.lock.holder == m and not state.lock.expired
            after = on_agent(state, m, kept=False) if leads else fenced(state, m)
            yield Step(f"the failsafe lease of {name(m)} ends", after)


def _late_write_lands(state: State) -> Iterator[Step]:
    late = state.late
    if late is None:
        return
    if late.kind == "sync" and late.content is not None:
        after = write_sync(state, late.content, NOBODY)
    else:
        after = write_lock(state, late.author)
    yield Step(f"a late write of {name(late.author)} lands ({late.kind})", after._replace(late=None))


def _forgets(scenario: Scenario, state: State, m: int) -> State:
    """A new process knows nothing. It judges silence and expiry from its own start, so a failsafe claim that it
    accepted binds it at least as long as before."""
    agent = state.agents[m]
    keeps = scenario.any_k and not scenario.protocol.promise_forgotten
    promise = agent.promise if keeps else False
    return on_agent(
        state, m, promise=promise, seen=None, fresh=False, renewed=False, unsure=True, stage=IDLE, asked=0, round=-1
    )
