"""A standby's side: promise, count, claim, take, make sure that nobody else may be promoted, promote."""

from __future__ import annotations

from collections.abc import Iterator

from model.replication import follow
from model.scenario import Scenario
from model.state import (
    ALONE,
    CLAIMED,
    COUNTED,
    DOWN,
    HOLDS,
    IDLE,
    NOBODY,
    PRIMARY,
    REPLICA,
    Late,
    Members,
    Stage,
    State,
    Step,
    SyncObject,
    each,
    has,
    name,
    names,
    on_agent,
    on_server,
    position,
    spend,
    write_lock,
    write_sync,
)


def steps(scenario: Scenario, state: State) -> Iterator[Step]:
    if not state.budget.promotions:
        return
    for m, server in enumerate(state.servers):
        if server.role == DOWN and state.lock.holder != m:
            yield from _joins_the_race(state, m)
        if server.role != REPLICA:
            continue
        if state.lock.holder == m:
            yield from _holds(scenario, state, m)
            continue
        yield from _promises(scenario, state, m)
        yield from _asks_early(scenario, state, m)
        yield from _counts(scenario, state, m)
        yield from _claims(scenario, state, m)
        yield from _takes(scenario, state, m)
        yield from _races(scenario, state, m)


def _promises(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """Close the receiver and refuse failsafe claims, until the lock's version has moved on. Only voters are asked."""
    agent, protocol = state.agents[m], scenario.protocol
    if agent.promise and protocol.promise_dropped_early:
        yield Step(f"{name(m)} drops its promise early", follow(on_agent(state, m, promise=False), m))
    if has(scenario.silent, m):
        return
    if agent.promise or not has(state.sync.voters, m) or (agent.accepted and not protocol.binding_ignored):
        return
    after = on_agent(state, m, promise=True)
    if not protocol.receiver_stays_open:
        after = on_server(after, m, upstream=NOBODY)
    yield Step(f"{name(m)} promises on the lock's version", after)


def _not_ahead(state: State, m: int, others: Members) -> Members:
    mine = position(state.servers[m].log)
    return sum(
        1 << d for d in each(others) if state.servers[d].role == REPLICA and position(state.servers[d].log) <= mine
    )


def _asks_early(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """Not part of the protocol: compare positions while the others may still stream."""
    agent = state.agents[m]
    free = state.lock.expired or state.lock.holder == NOBODY
    if scenario.protocol.positions_asked_too_early and agent.stage == IDLE and not free:
        asked = _not_ahead(state, m, state.sync.voters)
        if asked != agent.asked:
            yield Step(
                f"{name(m)} asks for positions too early: {names(asked)} are not ahead", on_agent(state, m, asked=asked)
            )


def _enough(scenario: Scenario, state: State, m: int, sync: SyncObject) -> bool:
    """Whether the voters that promised on the lock's present version, and are not ahead of this member, suffice."""
    protocol = scenario.protocol
    promised = sum(1 << d for d in each(sync.voters) if state.agents[d].promise or protocol.no_promise)
    if not has(sync.voters, m) or not has(promised, m):
        return False
    if protocol.positions_asked_too_early:
        counted = promised & (state.agents[m].asked | 1 << m)
    elif protocol.least_advanced:
        counted = promised
    else:
        counted = _not_ahead(state, m, promised)
    return counted.bit_count() >= (1 if protocol.minority else sync.quorum + 1)


def _counts(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    agent, sync, protocol = state.agents[m], state.sync, scenario.protocol
    if agent.stage != IDLE or not has(scenario.candidates, m) or (agent.accepted and not protocol.binding_ignored):
        return
    if sync.leader != state.lock.holder or state.lock.expired:
        return
    if protocol.old_claim_reused and sync.claim == m and not sync.quorum and agent.promise and has(sync.voters, m):
        yield Step(f"{name(m)} goes on with the claim that it wrote before", _noted(scenario, state, m, CLAIMED))
    if _enough(scenario, state, m, sync):
        if protocol.no_claim:
            yield Step(f"{name(m)} counts enough promises, and does not claim", _noted(scenario, state, m, CLAIMED))
        else:
            yield Step(f"{name(m)} counts enough promises", _noted(scenario, state, m, COUNTED))


def _noted(scenario: Scenario, state: State, m: int, stage: Stage) -> State:
    """What a candidate keeps of the sync object: in quorum mode it has to be the same at the promotion."""
    return on_agent(state, m, stage=stage, seen=state.sync if scenario.any_k else None, fresh=True)


def _claims(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    if state.agents[m].stage == COUNTED:
        claimed = write_sync(state, state.sync._replace(claim=m), m, counts_stay=scenario.protocol.sync_without_cas)
        yield Step(f"{name(m)} claims the sync object", _noted(scenario, claimed, m, CLAIMED))


def _takes(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    agent = state.agents[m]
    if agent.stage != CLAIMED or (agent.accepted and not scenario.protocol.binding_ignored):
        return
    yield Step(f"{name(m)} takes the lock", _taken(scenario, state, m))
    if state.budget.lost_replies and state.late is None:
        late = spend(state, lost_replies=1)._replace(late=Late(m, "take", None))
        yield Step(
            f"{name(m)} takes the lock, without an answer", on_agent(late, m, stage=IDLE, seen=None, fresh=False)
        )


def _taken(scenario: Scenario, state: State, m: int) -> State:
    after = write_lock(state, m, counts_stay=scenario.protocol.lock_reread_at_take)
    return on_agent(after, m, stage=HOLDS, asked=0)


def _races(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """The lock is free: released, or its TTL is over. Priority mode: who is listed. Quorum mode: who is not behind
    `quorum` other voters, by answers asked for since the lock is free; nobody promises anything."""
    agent, sync, lock = state.agents[m], state.sync, state.lock
    if not (lock.expired or lock.holder == NOBODY) or agent.stage != IDLE:
        return
    if agent.accepted and not scenario.protocol.binding_ignored:
        return
    if m == sync.leader:
        may = True
    elif scenario.protocol.positions_asked_too_early:
        may = has(sync.voters, m) and (agent.asked & sync.voters).bit_count() >= sync.quorum + 1
    else:
        may = has(sync.voters, m) and _not_ahead(state, m, sync.voters).bit_count() >= sync.quorum + 1
    if may:
        yield Step(f"{name(m)} takes the free lock", _taken(scenario, _noted(scenario, state, m, HOLDS), m))


def _holds(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    """The lock is this member's, and its Postgres is in recovery."""
    agent, protocol = state.agents[m], scenario.protocol
    if agent.stage == ALONE:
        yield from _promotes(scenario, state, m)
        return
    if agent.stage != HOLDS:
        if _may_go_on(scenario, state, m):
            after = _taken(scenario, _noted(scenario, state, m, HOLDS), m)
            yield Step(f"{name(m)} takes its own lock up again", after)
        else:
            yield _withdraws(scenario, state, m)
        return
    if state.budget.releases:
        yield _withdraws(scenario, spend(state, releases=1), m)
    if protocol.no_write_before_promotion:
        yield Step(f"{name(m)} does not write the sync object", on_agent(state, m, stage=ALONE))
    elif agent.fresh or protocol.sync_without_cas:
        mine = SyncObject(m, 0, 0)
        after = on_agent(write_sync(state, mine, m), m, stage=ALONE, unsure=False, seen=mine)
        yield Step(f"{name(m)} writes the sync object: nobody else may be promoted", after)
        if state.budget.lost_replies and state.late is None:
            late = spend(state, lost_replies=1)._replace(late=Late(m, "sync", mine))
            yield Step(f"{name(m)} writes the sync object, without an answer", late)
    if not agent.fresh:
        if _may_go_on(scenario, state, m):
            after = on_agent(state, m, seen=agent.seen, fresh=True)
            yield Step(f"{name(m)} reads the sync object again, and goes on", after)
        else:
            yield _withdraws(scenario, state, m)


def _may_go_on(scenario: Scenario, state: State, m: int) -> bool:
    """Whether the sync object, read after the take, still lets this member be promoted."""
    sync, counted = state.sync, state.agents[m].seen
    if not scenario.any_k or counted is None or scenario.protocol.promotion_trusts_a_new_list:
        return has(sync.voters, m) or sync.leader == m
    same = sync[:3] == counted[:3] and (sync.claim != NOBODY or counted.claim == NOBODY)
    return same or sync == SyncObject(m, 0, 0)


def _withdraws(scenario: Scenario, state: State, m: int) -> Step:
    """Not to be promoted after all. Where a quorum decides, a lock that was taken early is left to expire: once it is
    free, others would be counted who did not promise anything, and the former primary may still live on its lease."""
    if scenario.any_k and m != state.sync.leader and not scenario.protocol.released_after_early_take:
        after = on_agent(state, m, stage=IDLE, seen=None, fresh=False)
        return Step(f"{name(m)} does not go on, and lets the lock expire", after)
    after = on_agent(write_lock(state, NOBODY), m, stage=IDLE, seen=None, fresh=False)
    return Step(f"{name(m)} does not go on, and releases the lock", after)


def _promotes(scenario: Scenario, state: State, m: int) -> Iterator[Step]:
    if not state.budget.promotions:
        return
    timeline = max(server.log[-1] for server in state.servers if server.log) + 1
    log = (*state.servers[m].log, timeline)
    shut = scenario.strict and not scenario.protocol.promoted_open
    after = on_server(state, m, role=PRIMARY, log=log, upstream=NOBODY, names=0, needed=0, shut=shut, mark=len(log))
    after = on_agent(after, m, stage=IDLE, seen=state.sync, fresh=state.agents[m].fresh)
    yield Step(f"{name(m)} is promoted", spend(after._replace(latest=m), promotions=1))


def _joins_the_race(state: State, m: int) -> Iterator[Step]:
    """A former primary starts as a replica of nobody, so that it can race for a free lock."""
    if state.lock.holder == NOBODY or state.lock.expired:
        after = on_server(state, m, role=REPLICA, upstream=NOBODY, names=0, needed=0, shut=False, mark=0)
        yield Step(f"{name(m)} starts in recovery, following nobody", after)
