"""The leader's side: the sync object, synchronous_standby_names, the lock's renewal, and starting again in place.

A primary takes its steps on the sync object as it last *saw* it. It may change the set of its standbys in any way, and
at any time, that `coverage` allows: more than the real agent would ever do.
"""

from __future__ import annotations

from collections.abc import Iterator

from model.coverage import may_promise, supports
from model.replication import down
from model.scenario import Scenario
from model.state import (
    ALONE,
    DOWN,
    HOLDS,
    NOBODY,
    PRIMARY,
    Late,
    Members,
    State,
    Step,
    SyncObject,
    common,
    everybody,
    name,
    names,
    on_agent,
    on_server,
    spend,
    subsets,
    write_lock,
    write_sync,
)


def steps(scenario: Scenario, state: State) -> Iterator[Step]:
    for m, server in enumerate(state.servers):
        writable = server.role == PRIMARY
        in_place = server.role == DOWN and state.lock.holder == m
        if (not writable and not in_place) or (m == state.latest and not state.budget.promotions):
            continue
        yield from _looks(state, m)
        yield from _renews(scenario, state, m)
        yield from _overrides(scenario, state, m)
        if writable and (scenario.changes or m != 0):
            yield from _changes_object(scenario, state, m)
            yield from _changes_names(scenario, state, m)
        if in_place:
            yield from _starts_again(scenario, state, m)


def _contested(seen: SyncObject | None, m: int) -> bool:
    return seen is not None and (seen.claim != NOBODY or seen.leader != m)


def _looks(state: State, m: int) -> Iterator[Step]:
    agent = state.agents[m]
    if not agent.fresh:
        after = on_agent(state, m, seen=state.sync, fresh=True, renewed=False)
        yield Step(f"{name(m)} looks at the sync object: {_told(state.sync)}", after)


def _renews(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """A renewal succeeds, or tells that the lock is lost: then Postgres is killed."""
    agent = state.agents[m]
    if state.lock.holder == m:
        moved = write_lock(state, m, counts_stay=scenario.protocol.lock_reread_at_take)
        after = on_agent(moved, m, round=-1, kept=False)
        yield Step(f"{name(m)} renews the lock", after)
        if _contested(agent.seen, m) and not agent.renewed:
            yield Step(f"{name(m)} renews the lock before it overrides", on_agent(after, m, renewed=True))
    else:
        yield Step(f"{name(m)} learns that it lost the lock, and is killed", fenced(state, m))


def fenced(state: State, m: int) -> State:
    """Postgres is killed, and the agent begins anew."""
    return on_agent(down(state, m), m, seen=None, fresh=False, renewed=False, unsure=True, round=-1, kept=False)


def _overrides(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """A contested object, or one that a write may be under way to: write what it lists already, with an answer."""
    agent, protocol = state.agents[m], scenario.protocol
    if agent.seen is None or (not agent.fresh and not protocol.sync_without_cas):
        return
    contested = _contested(agent.seen, m)
    if not contested and not agent.unsure:
        return
    if contested and not agent.renewed and not protocol.no_renewal_before_override and not protocol.claim_ignored:
        return
    keep = agent.seen.leader == m
    content = SyncObject(m, agent.seen.voters if keep else 0, agent.seen.quorum if keep else 0)
    yield from _write(scenario, state, m, content)


def _write(scenario: Scenario, state: State, m: int, content: SyncObject) -> Iterator[Step]:
    written = write_sync(state, content, m, counts_stay=scenario.protocol.sync_without_cas)
    after = on_agent(written, m, unsure=False)
    yield Step(f"{name(m)} writes the sync object: {_told(content)}", after)
    if state.budget.lost_replies and state.late is None:
        lost = spend(state, lost_replies=1)._replace(late=Late(m, "sync", content))
        if scenario.protocol.unanswered_is_answered:
            lost = on_agent(lost, m, seen=content)
        else:
            lost = on_agent(lost, m, unsure=True, renewed=False)
        yield Step(f"{name(m)} writes the sync object, without an answer: {_told(content)}", lost)


def _changes_object(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    agent, server, protocol = state.agents[m], state.servers[m], scenario.protocol
    seen = agent.seen
    if seen is None or (not agent.fresh and not protocol.sync_without_cas) or agent.unsure:
        return
    if _contested(seen, m) and not protocol.claim_ignored:
        return
    done = server.log[: server.mark]
    confirmed = sum(1 << o for o, other in enumerate(state.servers) if o != m and common(other.log, done) == len(done))
    for voters in _choices(scenario, state, m, seen.voters | server.names):
        for quorum in range(max(1, voters.bit_count()) if scenario.any_k else 1):
            content = SyncObject(m, voters, quorum)
            if (voters, quorum) == (seen.voters, seen.quorum):
                continue
            if not protocol.object_first and not supports(server.names, server.needed, content):
                continue
            if not protocol.no_wait and not may_promise(seen, confirmed, content):
                continue
            yield from _write(scenario, state, m, content)


def _changes_names(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    agent, server, protocol = state.agents[m], state.servers[m], scenario.protocol
    seen = agent.seen
    if seen is None or agent.unsure or (_contested(seen, m) and not protocol.claim_ignored):
        return
    for wanted in _choices(scenario, state, m, seen.voters | server.names):
        for needed in _numbers(scenario, wanted):
            if (wanted, needed) == (server.names, server.needed) and not server.shut:
                continue
            if not protocol.names_first and not supports(wanted, needed, seen):
                continue
            shut = scenario.strict and not wanted
            if shut and server.shut:
                continue
            after = on_server(state, m, names=wanted, needed=needed, shut=shut, mark=len(server.log))
            yield Step(f"{name(m)} commits with {needed} of {names(wanted)}", after)


def _choices(scenario: Scenario, state: State, m: int, present: Members) -> list[Members]:
    others = everybody(state) & ~(1 << m) if scenario.grows or m != 0 else present
    return [s for s in subsets(others) if scenario.shrinks or s & present == present]


def _numbers(scenario: Scenario, wanted: Members) -> list[int]:
    size = wanted.bit_count()
    if not scenario.any_k or not size:
        return [size] if size <= scenario.count else []
    return list(range(1, min(size, scenario.count) + 1))


def _starts_again(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """Postgres died and the lock is still its own: with everybody in force who is listed."""
    agent, server = state.agents[m], state.servers[m]
    if agent.seen is None or agent.unsure or agent.seen.leader != m or agent.stage in (HOLDS, ALONE):
        return
    voters = agent.seen.voters
    needed = voters.bit_count() - agent.seen.quorum
    if scenario.protocol.restart_unsynchronised:
        voters, needed = 0, 0
    shut = scenario.strict and not voters
    after = on_server(state, m, role=PRIMARY, names=voters, needed=needed, shut=shut, mark=len(server.log))
    if state.lock.expired:
        after = write_lock(after, m)
    yield Step(f"{name(m)} starts again in place, commits with {needed} of {names(voters)}", after)


def _told(sync: SyncObject) -> str:
    claim = f", claimed by {name(sync.claim)}" if sync.claim != NOBODY else ""
    return f"leader {name(sync.leader)}, voters {names(sync.voters)}, quorum {sync.quorum}{claim}"
