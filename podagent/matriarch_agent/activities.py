"""The long activities: one at a time, as a task that can be cancelled, each a few awaits on ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from matriarch.ha.actions import (
    ArchiveWal,
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
from matriarch.ha.rules.crash import bytes_to_replay, measured_rate
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import Failsafe, Upstream
from matriarch.words.errors import PostgresError, QueryFailed
from matriarch_agent.data_changes import change_data
from matriarch_agent.handover import before_stop, hand_over, pre_promote, stop_within
from matriarch_agent.ports import StartMode

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent


async def carry_out(agent: Agent, action: Long) -> None:
    """Run one activity to its end. Errors are the caller's to record."""
    match action:
        case Bootstrap() | Clone() | ArchiveWal() | Rewind():
            await change_data(agent, action)
        case StartPrimary():
            await _start_primary(agent, action)
        case StartReplica(upstream):
            await _start_replica(agent, upstream)
        case Restart():
            await _restart(agent, action)
        case Promote():
            await _promote(agent)
        case HandOver():
            await hand_over(agent, action)
        case StopPostgres():
            await _stop(agent)
        case Checkpoint():
            await _checkpoint(agent)
        case CreateLogicalSlots(wanted):
            await _create_logical_slots(agent, wanted)
        case _:
            assert_never(action)


async def _stop(agent: Agent) -> None:
    if agent.observer.postgres.process != "stopping":
        await before_stop(agent)
    await agent.postgres.stop(fast=True, within=stop_within(agent))
    agent.callbacks.stopped()
    await agent.keeper.disarm()


def _note_followed(agent: Agent, upstream: Upstream | None) -> None:
    epoch, into = agent.store.lock().epoch, agent.settings().standby_cluster
    agent.remember(followed=upstream, followed_epoch=epoch, followed_into=into)


async def _start_primary(agent: Agent, action: StartPrimary) -> None:
    await agent.keeper.arm()
    agent.remember(followed=None, followed_epoch=None, restart=False, archive_tried_at=None, archive_complaint="")
    replays, began = bytes_to_replay(agent.observer.build()), agent.now()
    mode = StartMode(True, None, action.sync_names)
    await agent.postgres.start(mode, agent.settings())
    agent.callbacks.serves("primary", "on_start")
    rate = measured_rate(replays, agent.now() - began)
    if rate is not None:
        agent.remember(replay_rate=rate)
        agent.log("recovered from a crash", wal_bytes=replays, bytes_per_s=round(rate))


async def _start_replica(agent: Agent, upstream: Upstream | None) -> None:
    await agent.keeper.disarm()
    agent.remember(restart=False)
    _note_followed(agent, upstream)
    await agent.postgres.start(StartMode(False, upstream), agent.settings())
    agent.callbacks.serves("replica", "on_start")


async def _restart(agent: Agent, action: Restart) -> None:
    agent.remember(restart=False, restart_within=None, own_stop=True)
    if action.as_primary:
        await agent.keeper.arm()
    await before_stop(agent)
    await agent.postgres.stop(fast=True, within=None if action.as_primary else stop_within(agent))
    mode = StartMode(action.as_primary, action.upstream, action.sync_names)
    if action.as_primary:
        await agent.keeper.arm()
    else:
        await agent.keeper.disarm()
        _note_followed(agent, action.upstream)
    await agent.postgres.start(mode, agent.settings())
    agent.callbacks.serves("primary" if action.as_primary else "replica", "on_restart")


async def _promote(agent: Agent) -> None:
    await pre_promote(agent)
    await agent.keeper.arm()
    # A claim that this member accepted before it became primary must not count against it afterwards.
    agent.failsafe = Failsafe()
    known = tuple(agent.store.lock().slots)
    # Nor may a new copy that was asked for be made once this is the data that counts.
    agent.remember(checkpointed=False, followed=None, followed_epoch=None, remote=None, reinitialize=False)
    agent.remember(slots_of_predecessor=known, primary_seen=None, archive_tried_at=None, archive_complaint="")
    await agent.postgres.promote()
    agent.callbacks.serves("primary", "on_role_change")
    agent.announcer.say("Promoted", f"{agent.me.name} is primary, epoch {agent.store.lock().epoch}")


async def _checkpoint(agent: Agent) -> None:
    """The result counts only for the promotion that asked for it."""
    began = (agent.store.lock().epoch, agent.observer.postgres.timeline)
    await agent.postgres.checkpoint()
    if began == (agent.store.lock().epoch, agent.observer.postgres.timeline):
        agent.remember(checkpointed=True)


async def _create_logical_slots(agent: Agent, wanted: tuple[PermanentSlot, ...]) -> None:
    """Each of them: one whose database is not there yet must not keep the others from being made."""
    problems = []
    for slot in wanted:
        try:
            await agent.postgres.create_logical_slot(slot)
        except PostgresError as error:
            problems.append(f"{slot.name}: {error}")
            continue
        if slot.name in agent.memory.slots_of_predecessor:
            words = f"replication slot {slot.name} was not copied here before the failover and begins anew: "
            agent.announcer.say("SlotLost", words + "its consumer misses changes and needs a new copy", warning=True)
    if problems:
        raise QueryFailed("; ".join(problems))
