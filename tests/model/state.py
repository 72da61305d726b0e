"""What the model's world consists of. Everything is immutable, so a state can be remembered, compared and printed.

Versions are not counted: of a version that somebody remembers, only *is it still the present one?* matters to a
compare-and-swap. So what is remembered of a version ends with the next write of that object: a promise, a candidate's
count, the word `fresh`. That is why nothing bounds how often the lock is renewed or the sync object is claimed: those
states simply come back.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

NOBODY = -1

Role = str
REPLICA, PRIMARY, DOWN = "replica", "primary", "down"

Stage = str
IDLE, COUNTED, CLAIMED, HOLDS, ALONE = "idle", "counted", "claimed", "holds", "alone"
"""How far a standby has come with a takeover: nothing; it knows that its promises are enough; its claim is written;
the lock is its own; the sync object says that nobody but itself may be promoted."""

Log = tuple[int, ...]
"""A member's WAL: one number for each record, the promotion (timeline) under which it was written."""

Members = int
"""A set of members, one bit each."""


class SyncObject(NamedTuple):
    """Any `quorum` + 1 of the `voters` have, together, every acknowledged write. Priority mode: quorum is 0."""

    leader: int
    voters: Members
    quorum: int
    claim: int = NOBODY


class Lock(NamedTuple):
    """Who leads, and whether observers have waited its TTL out."""

    holder: int
    expired: bool = False


class Server(NamedTuple):
    """One member's Postgres. A commit waits for `needed` of `names`; `shut`: it waits for ever (strict, nobody named).

    `mark`: how much of the log there was when `names` came into force.
    """

    log: Log
    role: Role
    upstream: int = NOBODY
    names: Members = 0
    needed: int = 0
    shut: bool = False
    mark: int = 0


class Agent(NamedTuple):
    """One member's agent.

    `promise`: it hears no more of the lock's holder while the lock stays at its present version. `accepted`: it
    accepted a failsafe claim at this version. `seen`, `fresh`: the sync object as it last saw it, and whether that is
    the present version. `renewed`: the lock was renewed since `seen`. `unsure`: a write of the sync object may be
    under way. `asked`: members that it found not ahead of itself when it asked too early (mutants only). `round`: who
    has accepted its failsafe claim in this round (-1: no round). `kept`: a confirmed failsafe round keeps it primary.
    """

    promise: bool = False
    accepted: bool = False
    seen: SyncObject | None = None
    fresh: bool = False
    renewed: bool = False
    unsure: bool = False
    stage: Stage = IDLE
    asked: Members = 0
    round: int = -1
    kept: bool = False


class Late(NamedTuple):
    """A write whose answer was lost and that may land later, as long as its version is the present one."""

    author: int
    kind: str
    content: SyncObject | None


class Budget(NamedTuple):
    """How much may still happen of what would make the world infinite, or merely large."""

    writes: int
    promotions: int = 1
    crashes: int = 0
    restarts: int = 0
    lost_replies: int = 0
    releases: int = 0


class State(NamedTuple):
    """The world at one moment. `acked`: the acknowledged log. `latest`: who was promoted last. `foul`: what a step did
    that no step may do."""

    lock: Lock
    sync: SyncObject
    servers: tuple[Server, ...]
    agents: tuple[Agent, ...]
    acked: Log
    latest: int
    budget: Budget
    late: Late | None = None
    foul: str = ""


class Step(NamedTuple):
    """What somebody does, in words, and the world after it."""

    text: str
    state: State


def name(member: int) -> str:
    return "abcdefg"[member]


def names(members: Members) -> str:
    return "{" + ",".join(name(m) for m in each(members)) + "}"


@cache
def each(members: Members) -> tuple[int, ...]:
    return tuple(m for m in range(members.bit_length()) if members >> m & 1)


def has(members: Members, member: int) -> bool:
    return member >= 0 and members >> member & 1 == 1


@cache
def subsets(members: Members) -> tuple[Members, ...]:
    found = [0]
    for m in each(members):
        found += [one | 1 << m for one in found]
    return tuple(found)


def everybody(state: State) -> Members:
    return (1 << len(state.servers)) - 1


def common(one: Log, other: Log) -> int:
    """How many records two logs have in common."""
    if one == other:
        return len(one)
    for index, (mine, its) in enumerate(zip(one, other, strict=False)):
        if mine != its:
            return index
    return min(len(one), len(other))


def position(log: Log) -> tuple[int, int]:
    """What members compare: timeline and place."""
    return (log[-1] if log else 0, len(log))


def on_server(state: State, member: int, **changes: Any) -> State:
    servers = list(state.servers)
    servers[member] = servers[member]._replace(**changes)
    return state._replace(servers=tuple(servers))


def on_agent(state: State, member: int, **changes: Any) -> State:
    agents = list(state.agents)
    agents[member] = agents[member]._replace(**changes)
    return state._replace(agents=tuple(agents))


def spend(state: State, **amounts: int) -> State:
    left = state.budget._replace(**{what: getattr(state.budget, what) - much for what, much in amounts.items()})
    return state._replace(budget=left)


def write_lock(state: State, holder: int, *, counts_stay: bool = False) -> State:
    """The lock has a new version. Promises and counts on the former one are void (`counts_stay`: a mutant's are not).

    A member may take a while to see it; that is the same as following the leader again a while later.
    """
    agents = tuple(
        agent._replace(
            promise=False,
            accepted=False,
            stage=IDLE if agent.stage in (COUNTED, CLAIMED) and not counts_stay else agent.stage,
        )
        if agent.promise or agent.accepted or agent.stage != IDLE
        else agent
        for agent in state.agents
    )
    late = state.late if state.late is None or state.late.kind != "take" else None
    return state._replace(lock=Lock(holder), agents=agents, late=late)


def write_sync(state: State, content: SyncObject, author: int, *, counts_stay: bool = False) -> State:
    """The sync object has a new version, which only its author (NOBODY: a late write) has seen. A candidate that was
    about to claim the former one begins again."""
    agents = []
    for m, agent in enumerate(state.agents):
        if m == author:
            agents.append(agent._replace(seen=content, fresh=True, renewed=False))
        elif agent.stage == COUNTED and not counts_stay:
            agents.append(agent._replace(stage=IDLE, seen=None, fresh=False))
        elif agent.fresh:
            agents.append(agent._replace(fresh=False))
        else:
            agents.append(agent)
    late = state.late if state.late is None or state.late.kind != "sync" else None
    return state._replace(sync=content, agents=tuple(agents), late=late)
