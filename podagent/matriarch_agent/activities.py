"""The long activities: one at a time, as a task that can be cancelled, each a few awaits on ports."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

from matriarch.ha.actions import (
    Bootstrap,
    Checkpoint,
    Clone,
    CreateLogicalSlots,
    HandOver,
    Long,
    Promote,
    Restart,
    Rewind,
    StartPrimary,
    StartReplica,
    StopPostgres,
)
from matriarch.ha.rules.race import sync_active
from matriarch.ha.rules.terminating import QUIET_S
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import Failsafe, Upstream, View
from matriarch.words.errors import ConflictError, PostgresError, ProgramFailed
from matriarch_agent.ports import StartMode

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent

CONFIRM_S = 1.0
"""Seconds for a candidate to confirm the last record. Nobody is served meanwhile, and who streamed has it already."""
CHECKPOINT_S = 60.0
"""Seconds for the checkpoint before a handover, in which writes still go on."""
STOP_S = 2.0
"""Seconds that a stop may take without a renewal in between."""


async def carry_out(agent: Agent, action: Long) -> None:
    """Run one activity to its end. Errors are the caller's to record."""
    match action:
        case Bootstrap():
            await _bootstrap(agent)
        case Clone(source):
            await _clone(agent, source)
        case Rewind(source):
            await _rewind(agent, source)
        case StartPrimary(sync_names):
            await agent.keeper.arm()
            agent.remember(followed=None, followed_epoch=None)
            await agent.postgres.start(StartMode(True, None, sync_names), agent.settings())
        case StartReplica(upstream):
            await _start_replica(agent, upstream)
        case Restart():
            await _restart(agent, action)
        case Promote():
            await _promote(agent)
        case HandOver():
            await _hand_over(agent, action)
        case StopPostgres():
            await agent.postgres.stop(fast=True, within=_stop_within(agent))
            await agent.keeper.disarm()
        case Checkpoint():
            await agent.postgres.checkpoint()
            agent.remember(checkpointed=True)
        case CreateLogicalSlots(wanted):
            await _create_logical_slots(agent, wanted)
        case _:
            assert_never(action)


async def _bootstrap(agent: Agent) -> None:
    await agent.keeper.arm()
    sysid = await agent.postgres.bootstrap(agent.settings(), ())
    agent.log("cluster initialised", system_identifier=sysid)
    agent.announcer.say("Initialised", f"new cluster with system identifier {sysid}")


def _note_followed(agent: Agent, upstream: Upstream | None) -> None:
    epoch, into = agent.store.lock().epoch, agent.settings().standby_cluster
    agent.remember(followed=upstream, followed_epoch=epoch, followed_into=into)


async def _start_replica(agent: Agent, upstream: Upstream | None) -> None:
    await agent.keeper.disarm()
    _note_followed(agent, upstream)
    await agent.postgres.start(StartMode(False, upstream), agent.settings())


async def _clone(agent: Agent, source: Upstream) -> None:
    epoch = agent.store.lock().epoch
    await agent.postgres.stop(fast=True)
    await agent.keeper.disarm()
    await agent.postgres.clone(source, agent.settings())
    agent.announcer.say("Cloned", f"data copied from {source.member}")
    agent.remember(
        rewound_epoch=epoch,
        rewound_from=source.member,
        rewind_failed=False,
        clones_failed=0,
        remote=None,
        reinitialize=False,
    )


async def _rewind(agent: Agent, source: Upstream) -> None:
    epoch = agent.store.lock().epoch
    await agent.postgres.stop(fast=True)
    await agent.keeper.disarm()
    try:
        dropped = await agent.postgres.rewind(source)
    except ProgramFailed as error:
        agent.log("pg_rewind failed", error=str(error))
        agent.remember(rewind_failed=True)
        raise
    words = f"rewound to follow {source.member}: {dropped} bytes of WAL that only this member had were dropped"
    agent.announcer.say("Rewound", words, warning=dropped > 0)
    agent.remember(rewound_epoch=epoch, rewound_from=source.member, rewind_failed=False, remote=None)


async def _restart(agent: Agent, action: Restart) -> None:
    agent.remember(restart=False, restart_within=None)
    if action.as_primary:
        await agent.keeper.arm()
    await agent.postgres.stop(fast=True, within=None if action.as_primary else _stop_within(agent))
    mode = StartMode(action.as_primary, action.upstream, action.sync_names)
    if action.as_primary:
        await agent.keeper.arm()
    else:
        await agent.keeper.disarm()
        _note_followed(agent, action.upstream)
    await agent.postgres.start(mode, agent.settings())


async def _promote(agent: Agent) -> None:
    await agent.keeper.arm()
    # A claim that this member accepted before it became primary must not count against it afterwards.
    agent.failsafe = Failsafe()
    known = tuple(agent.store.lock().slots)
    # Nor may a new copy that was asked for be made once this is the data that counts.
    agent.remember(checkpointed=False, followed=None, followed_epoch=None, remote=None, reinitialize=False)
    agent.remember(slots_of_predecessor=known)
    await agent.postgres.promote()
    agent.announcer.say("Promoted", f"{agent.me.name} is primary, epoch {agent.store.lock().epoch}")


async def _create_logical_slots(agent: Agent, wanted: tuple[PermanentSlot, ...]) -> None:
    for slot in wanted:
        await agent.postgres.create_logical_slot(slot)
        if slot.name in agent.memory.slots_of_predecessor:
            words = f"replication slot {slot.name} was not copied here before the failover and begins anew: "
            agent.announcer.say("SlotLost", words + "its consumer misses changes and needs a new copy", warning=True)


async def _hand_over(agent: Agent, action: HandOver) -> None:
    """Quiet second with the checkpoint in it, stop, see that a candidate has everything, release to it.

    When no candidate has it, the lock is kept: this member starts again, or comes back after its pod does.
    """
    last_lsn = 0

    async def shut_down(lsn: int) -> None:
        nonlocal last_lsn
        last_lsn = lsn

    quiet = max(action.quiet_s, QUIET_S - agent.keeper.since_renewal(), 0.0)
    agent.keeper.rest(quiet + STOP_S)
    bound = _stop_within(agent)
    await asyncio.gather(asyncio.sleep(quiet), _checkpoint_first(agent, bound))
    await agent.postgres.stop(fast=True, on_shutdown_checkpoint=shut_down, within=bound)
    successor = await _successor(agent, action.candidate, last_lsn)
    if successor is None:
        agent.log("no replica has the last record; keeping the lock", lsn=last_lsn)
        agent.remember(handovers_kept=agent.memory.handovers_kept + 1)
        return
    agent.remember(handover_done_at=agent.now(), handovers_kept=0)
    try:
        await agent.keeper.release(last_lsn or None, successor)
    except ConflictError as error:
        agent.log("the lock was gone before its release", error=str(error))


def _stop_within(agent: Agent) -> float | None:
    """Seconds for a primary to stop in order; None: as long as the adapter allows. In asynchronous mode a harder stop
    could lose what replicas do not have yet, so there the setting does not count (after Patroni)."""
    settings = agent.settings()
    return settings.primary_stop_timeout if settings.synchronous and settings.primary_stop_timeout > 0 else None


async def _checkpoint_first(agent: Agent, within: float | None) -> None:
    """The shutdown has less to write then. A server that does not get it done is stopped all the same."""
    with suppress(PostgresError, TimeoutError):
        async with asyncio.timeout(min(CHECKPOINT_S, within or CHECKPOINT_S)):
            await agent.postgres.checkpoint()


async def _successor(agent: Agent, candidate: str | None, lsn: int) -> str | None:
    """The candidate, or the most advanced member that may lead, once it has everything up to `lsn`.

    `lsn` 0: the server had to be killed before it wrote its last record. Every listed synchronous standby has all that
    was acknowledged, so one of them may lead; otherwise nobody is known to have it.
    """
    view = agent.observer.build()
    able = [member.name for member in view.peers() if _may_succeed(view, member.name, candidate)]
    quorum = view.sync.quorum if sync_active(view) else 0
    voters = view.sync.standbys if quorum else ()
    if not lsn and (quorum or not sync_active(view)):
        return None
    others = tuple(member.name for member in view.peers() if member.name not in (*able, *voters))
    until = agent.now() + CONFIRM_S
    while agent.now() < until:
        poll = await agent.poll_peers(skip=others)
        live = [a for a in poll.answers if a.reachable and a.running]
        fit = [a for a in live if a.name in able and not a.nofailover and (a.lsn or 0) >= lsn]
        # It will need the word of a quorum, with this member not yet there to give its own.
        if fit and (not quorum or sum(a.name in voters for a in live) > quorum):
            return max(fit, key=lambda answer: (answer.lsn or 0, answer.priority)).name
        await asyncio.sleep(0.05)
    return None


def _may_succeed(view: View, name: str, candidate: str | None) -> bool:
    return candidate in (None, name) and (not sync_active(view) or view.sync.lists(name))
