"""Carries decisions out: one action after the other, in the decision's order, stopping at the first that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, assert_never, cast

from matriarch.ha.actions import (
    LONG,
    Acquire,
    Action,
    ApplySettings,
    ArchiveWal,
    AskLeader,
    BreakOff,
    Checkpoint,
    Claim,
    ClearRequest,
    ConfirmFailsafe,
    CreateLogicalSlots,
    Decision,
    Fence,
    Follow,
    ForgetRestart,
    Kill,
    Long,
    PollPeers,
    Promise,
    Question,
    Quick,
    Reclaim,
    Record,
    Release,
    Renew,
    SetSyncNames,
    SyncSlots,
    WriteHistory,
    WriteInitialize,
    WriteSync,
)
from matriarch.ha.records import history_text
from matriarch.ha.rules.polling import known_to_have_data
from matriarch.ha.view import HistoryEntry, View
from matriarch.words.errors import (
    ConflictError,
    DeadlineSpent,
    MatriarchError,
    NotFound,
    PostgresError,
    TransientError,
)
from matriarch_agent.files import file_problem

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent

T = TypeVar("T")

AFTER_FAILURE_S = 0.25
"""An API server that refuses writes is not asked again without pause."""
ASK_SLOTS_S = 5.0
"""Seconds between two questions whether the members of forgotten slots are really gone."""
CLOSING_LOOKS = 40


async def execute(agent: Agent, view: View, decision: Decision) -> float:
    """Run the decision's actions. Returns the seconds after which to look again: at once when something changed by
    our own hand, later when an action failed, else when the decision says.

    An action that fails ends the decision: the next view tells what is left to do.
    """
    changed = False
    for action in decision.actions:
        agent.turned_at = agent.now()
        try:
            if isinstance(action, Checkpoint | CreateLogicalSlots) or action == ArchiveWal(aside=True):
                agent.jobs.begin_aside(action)
            elif isinstance(action, LONG):
                agent.jobs.begin(cast(Long, action))
            else:
                changed = await _quick(agent, view, action) or changed
        except (MatriarchError, OSError) as problem:
            # What an adapter did not translate must not end the agent: the next one would meet it again at once.
            error = problem if isinstance(problem, MatriarchError) else file_problem(problem)
            agent.log("action failed", action=type(action).__name__, error=str(error), kind=type(problem).__name__)
            if isinstance(action, Claim | Acquire):
                await _after_failed_take(agent, view, action, error)
            return max(AFTER_FAILURE_S, decision.wake_in)
    return 0.0 if changed else decision.wake_in


async def _after_failed_take(agent: Agent, view: View, action: Claim | Acquire, error: MatriarchError) -> None:
    if isinstance(error, TransientError):
        # A claim that got through wakes its own member, which would then ask again without pause.
        await asyncio.sleep(AFTER_FAILURE_S)
    elif isinstance(error, ConflictError | NotFound) and view.lock.leader is not None:
        # Somebody renewed the lock, overrode the claim or deleted the lock, which its leader makes again: it lives, and
        # its silence counts from now. What stands there now was read after the refusal; where that read was late as
        # well, the rule waits for it.
        now = agent.now()
        agent.remember(leader_heard_at=now, refused_version=action.version, refused_at=now)


async def _quick(agent: Agent, view: View, action: Action) -> bool:
    match action:
        case Fence() | Kill():
            await agent.fence(unusable=isinstance(action, Kill))
            return True
        case BreakOff():
            agent.jobs.break_off()
            return False
        case PollPeers() | ConfirmFailsafe() | AskLeader():
            return await _ask(agent, view, action)
        case ForgetRestart() | Promise() | SetSyncNames() | Follow() | ApplySettings() | SyncSlots():
            return await _adjust(agent, view, action)
        case _:
            await _record(agent, view, cast(Record, action))
            return True


async def _ask(agent: Agent, view: View, action: Question) -> bool:
    match action:
        case PollPeers(skip):
            agent.poll = await agent.poll_peers(skip)
            agent.remember(have_data=known_to_have_data(agent.memory.have_data, agent.poll))
            return True
        case ConfirmFailsafe():
            await agent.confirm_failsafe(view)
            return False
        case AskLeader(upstream):
            remote = await agent.postgres.ask_history(upstream, view.lock.epoch)
            agent.remember(remote=replace(remote, asked_at=agent.now()))
            return not remote.in_recovery or view.settings.standby_cluster is not None
        case _:
            assert_never(action)


async def _adjust(agent: Agent, view: View, action: Quick) -> bool:
    match action:
        case ForgetRestart(why):
            agent.remember(scheduled_restart=None)
            if why:
                agent.announcer.say("RestartDropped", f"the scheduled restart is not done: {why}", warning=True)
            return True
        case Promise(version):
            await _promise(agent, view, version)
            return True
        case SetSyncNames(wanted):
            await agent.postgres.set_sync_names(wanted)
            return True
        case Follow(upstream):
            await agent.postgres.follow(upstream, view.settings)
            into = view.settings.standby_cluster
            agent.remember(followed=upstream, followed_epoch=view.lock.epoch, followed_into=into)
            return True
        case ApplySettings():
            agent.remember(reload=False)
            await agent.postgres.apply(view.settings)
            agent.callbacks.reloaded()
            return False
        case SyncSlots():
            await _sync_slots(agent, view, action)
            return False
        case _:
            assert_never(action)


async def _sync_slots(agent: Agent, view: View, action: SyncSlots) -> None:
    """What fails here is tried again at the next look, and told once; what comes after it, such as a change of the
    synchronous standbys, must not wait for it."""
    complaint = ""
    try:
        drop = await _without_those_back(agent, view, action)
        await agent.postgres.sync_slots(action.want, drop, action.advance)
    except PostgresError as error:
        complaint = str(error)
    if complaint and complaint != agent.slots_complaint:
        agent.log("slots not in order", error=complaint)
    agent.slots_complaint = complaint


async def _without_those_back(agent: Agent, view: View, action: SyncSlots) -> tuple[str, ...]:
    """What of `drop` may go (rule 7). The watches may be silent or late, and a member back whose slot seems to be
    forgotten, or a setting: before the leader drops one for good, it asks the API server itself, and drops none without
    an answer."""
    for_good = set(action.drop) - set(action.want)
    if not for_good or not view.lock_is_mine:
        return action.drop
    there: set[str] = for_good
    if agent.now() - agent.slots_asked_at > ASK_SLOTS_S:
        agent.slots_asked_at = agent.now()
        try:
            there = await agent.store.accounted_slots(view.settings.retry_timeout)
        except MatriarchError as error:
            agent.log("slots are kept: the API server does not tell whose they are", error=str(error))
    return tuple(name for name in action.drop if name not in for_good & there)


async def _record(agent: Agent, view: View, action: Record) -> None:
    match action:
        case Acquire(version, counted):
            agent.remember(counted=counted)
            await _take(agent, version)
        case Reclaim(version):
            await _take(agent, version)
        case Release(handed_over, successor):
            if agent.keeper.armed:
                # A promotion that was begun cannot be taken back: what was under the leash must not live on without.
                await agent.fence()
            await agent.keeper.release(None, successor)
            if handed_over:
                agent.remember(handover_done_at=agent.now())
        case Renew():
            await agent.keeper.renew_now()
        case Claim(version):
            await agent.store.write_claim(version)
        case WriteSync():
            await _write_sync(agent, action)
        case WriteInitialize(value, version):
            await _unless_isolated(agent, agent.store.write_config(version, initialize=value))
        case WriteHistory(timeline):
            await _unless_isolated(agent, _write_history(agent, view, timeline))
        case ClearRequest(version, why):
            await _unless_isolated(agent, agent.store.clear_request(version, why))
        case _:
            assert_never(action)


async def _unless_isolated(agent: Agent, writing: Coroutine[Any, Any, T]) -> T:
    """Give a write up when the renewals beside it find no answer either: the loop has failsafe rounds to hold before
    the lease ends. Raises DeadlineSpent then; whether the write lands is unknown."""
    write = asyncio.ensure_future(writing)
    isolated = asyncio.ensure_future(agent.keeper.unanswered.wait())
    try:
        await asyncio.wait({write, isolated}, return_when=asyncio.FIRST_COMPLETED)
        if not write.done():
            raise DeadlineSpent("given up: renewals find no answer")
        return await write
    finally:
        write.cancel()
        isolated.cancel()


async def _take(agent: Agent, version: str | None) -> None:
    await agent.keeper.take(version)
    agent.log("lock taken", epoch=agent.store.lock().epoch)


async def _write_sync(agent: Agent, action: WriteSync) -> None:
    """A write without an answer may still land; an answered one after it makes sure that it cannot, and its version
    tells an object that is read from one of long ago."""
    try:
        write = agent.store.write_sync(action.leader, action.standbys, action.quorum, action.version)
        written = await _unless_isolated(agent, write)
    except TransientError:
        agent.remember(sync_written=None)
        raise
    agent.remember(sync_written=written)


async def _promise(agent: Agent, view: View, version: str) -> None:
    """From the first line on failsafe claims are refused. In the end no WAL comes in, and others may count on it."""
    agent.remember(promised=version, promise_sealed_at=None, followed=None, followed_epoch=None)
    await agent.postgres.follow(None, view.settings)
    for _ in range(CLOSING_LOOKS):
        postgres = await agent.postgres.observe()
        if postgres.running and not postgres.streaming:
            agent.remember(promise_sealed_at=agent.now())
            return
        await asyncio.sleep(0.02)
    raise DeadlineSpent("the WAL receiver does not close")


async def _write_history(agent: Agent, view: View, timeline: int) -> None:
    """Publish the local history; what was published before keeps its times and names."""
    known = {entry.timeline: entry for entry in view.config.history or () if entry.leader}
    entries: list[HistoryEntry] = []
    for entry in await agent.postgres.local_history():
        old = known.get(entry.timeline)
        if old is not None and old.lsn == entry.lsn:
            entries.append(old)
            continue
        leader = agent.me.name if entry.timeline == timeline - 1 else ""
        entries.append(HistoryEntry(entry.timeline, entry.lsn, entry.reason, agent.wall_iso(), leader))
    most = view.settings.max_timelines_history
    kept = tuple(entries[-most:] if most > 0 else entries)
    if timeline == 1 or (kept and kept[-1].timeline == timeline - 1):
        await agent.store.write_config(view.config.version, history=history_text(kept))
