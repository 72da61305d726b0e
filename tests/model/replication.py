"""What Postgres does by itself: it writes, streams, acknowledges, dies."""

from __future__ import annotations

from collections.abc import Iterator

from model.scenario import Scenario
from model.state import (
    DOWN,
    IDLE,
    NOBODY,
    PRIMARY,
    REPLICA,
    Log,
    State,
    Step,
    common,
    each,
    has,
    name,
    on_server,
    spend,
)


def steps(scenario: Scenario, state: State) -> Iterator[Step]:
    del scenario
    done = not state.budget.promotions
    for m, server in enumerate(state.servers):
        if done and state.latest in (m, server.upstream):
            continue
        if server.role == PRIMARY:
            if state.budget.writes:
                log = (*server.log, server.log[-1])
                yield Step(f"{name(m)} writes a record", spend(on_server(state, m, log=log), writes=1))
            if state.budget.crashes:
                yield Step(f"the Postgres of {name(m)} dies", spend(down(state, m), crashes=1))
        elif server.role == REPLICA and server.upstream != NOBODY:
            source = state.servers[server.upstream]
            if source.role == PRIMARY and len(server.log) < len(source.log) and _behind(server.log, source.log):
                log = source.log[: len(server.log) + 1]
                yield Step(f"{name(m)} flushes a record of {name(server.upstream)}", on_server(state, m, log=log))
    if not done:
        yield from _follows(state)


def down(state: State, m: int) -> State:
    """Nothing runs: what was in force is gone with it."""
    return on_server(state, m, role=DOWN, upstream=NOBODY, names=0, needed=0, shut=False, mark=0)


def _behind(log: Log, source: Log) -> bool:
    return source[: len(log)] == log


def _follows(state: State) -> Iterator[Step]:
    for m, (server, agent) in enumerate(zip(state.servers, state.agents, strict=True)):
        if server.role != PRIMARY and not agent.promise and agent.stage == IDLE:
            after = follow(state, m)
            if after is not state:
                yield Step(f"{name(m)} follows {name(state.lock.holder)}", after)


def follow(state: State, m: int) -> State:
    """Follow the leader once that is out of recovery; what this member has too much is rewound before."""
    leader, server = state.lock.holder, state.servers[m]
    if leader in (NOBODY, m) or state.servers[leader].role != PRIMARY:
        return state
    if server.role == REPLICA and server.upstream == leader:
        return state
    log = server.log[: common(server.log, state.servers[leader].log)]
    return on_server(state, m, log=log, role=REPLICA, upstream=leader)


def acknowledge(state: State) -> State:
    """Acknowledge at once whatever can be.

    Sooner is never safer, so no interleaving is lost: what could be acknowledged later as well is acknowledged now.
    A flush counts as reported even when the connection has gone since (the report may have been under way).
    """
    acked, foul = state.acked, state.foul
    for server in state.servers:
        if server.role != PRIMARY or server.shut:
            continue
        durable = server.log[: _durable(state, server.log, server.names, server.needed)]
        if len(durable) > len(acked) and durable[: len(acked)] == acked:
            acked = durable
        elif acked[: len(durable)] != durable:
            foul = "two histories were acknowledged"
    if acked is state.acked and foul == state.foul:
        return state
    return state._replace(acked=acked, foul=foul)


def _durable(state: State, log: Log, names: int, needed: int) -> int:
    if needed == 0:
        return len(log)
    flushed = sorted((common(state.servers[m].log, log) for m in each(names)), reverse=True)
    return flushed[needed - 1] if needed <= len(flushed) else 0


def can_acknowledge(state: State, member: int) -> bool:
    """Whether a new commit of this member could be acknowledged as things stand."""
    server = state.servers[member]
    if server.role != PRIMARY or server.shut:
        return False
    streaming = sum(
        1
        for m, other in enumerate(state.servers)
        if has(server.names, m) and other.role == REPLICA and other.upstream == member
    )
    return streaming >= server.needed
