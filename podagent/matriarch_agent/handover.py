"""Ending a primary's time in order: what is done before a stop and a promotion, and the handover itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from matriarch.ha.actions import HandOver
from matriarch.ha.quiet import at_once_from, in_time_for_a_sync
from matriarch.ha.rules.race import sync_active
from matriarch.ha.view import View
from matriarch.words.errors import ConflictError, MatriarchError, PostgresError, ProgramFailed

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent

CONFIRM_S = 1.0
"""Seconds for a candidate to confirm the last record. Nobody is served meanwhile, and who streamed has it already."""
LINGER_S = 0.5
"""Seconds for the processes to end once the last record is written. A walsender or an archiver may take longer; nobody
waits for them."""
CHECKPOINT_S = 60.0
"""Seconds for the checkpoint before a handover, in which writes still go on."""
COMMAND_S = 60.0
"""Seconds for `pre_promote` and `before_stop`."""
HURRIED_STOP_S = 0.7
"""Seconds for an orderly stop where two are all that the kubelet leaves, of which more than one may be gone."""
HURRIED_AHEAD_S = 0.55
"""Seconds from the stop to the release there, with room for a busy node, and for a replica that has to take the lock
where the API server no longer accepts the credentials of a deleted pod."""
LONGEST_QUIET_S = 4.0
"""Seconds after which a handover goes on, though a renewal came again and again."""
LEAST_S = 0.1
"""Seconds at least for the checkpoint before a stop, which is the shorter for it."""
STOP_S = 2.0
"""Seconds that a stop may take without a renewal in between."""


async def hand_over(agent: Agent, action: HandOver) -> None:
    """Checkpoint and wait for a quiet moment, stop, see that a candidate has everything, release to it.

    When no candidate has it, the lock is kept: this member starts again, or comes back after its pod does.
    """
    agent.remember(own_stop=True)
    await before_stop(agent)
    bound = stop_within(agent, HURRIED_STOP_S if action.hurried else 0.0)
    if action.hurried:
        await _last_moment(agent, action.changed_at)
    else:
        await _checkpoint_first(agent, bound)
        await _quiet(agent, action.changed_at)
    ending = _Ending(agent, bound)
    try:
        await ending.closed_or_over()
        successor = await _successor(agent, action.candidate, ending.lsn)
        if successor is None and not ending.over:
            await ending.wait()
            successor = await _successor(agent, action.candidate, ending.lsn)
        if successor is None:
            await _keep(agent, ending.lsn)
        else:
            await _give(agent, ending.lsn, successor)
    except MatriarchError:
        await ending.wait()
        raise
    except asyncio.CancelledError:
        ending.break_off()
        raise
    await ending.wait()
    agent.callbacks.stopped()


class _Ending:
    """The server's orderly stop, beside which the lock may go already: once the last record is written nothing is
    committed any more, and what is left of the server waits for standbys and for the archive."""

    def __init__(self, agent: Agent, within: float | None) -> None:
        self._told = asyncio.Event()
        self.lsn = 0
        """The end of the WAL; 0 while the last record is not written, and when the server had to be killed first."""
        stop = agent.postgres.stop(fast=True, on_shutdown_checkpoint=self._closed, within=within)
        self._task = asyncio.create_task(stop, name="handover-stop")

    @property
    def over(self) -> bool:
        """No process is left."""
        return self._task.done()

    async def closed_or_over(self) -> None:
        """Return when no process is left, or soon after the last record is written. Raises PostgresError."""
        told = asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait({self._task, told}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({self._task}, timeout=LINGER_S)
        finally:
            told.cancel()
        if self.over:
            self._task.result()

    async def wait(self) -> None:
        """Return when no process is left. Raises PostgresError."""
        await self._task

    def break_off(self) -> None:
        """The handover is cancelled: whoever did that sees to the server."""
        self._task.cancel()

    async def _closed(self, lsn: int) -> None:
        self.lsn = lsn
        self._told.set()


async def _keep(agent: Agent, lsn: int) -> None:
    agent.log("no replica has the last record; keeping the lock", lsn=lsn)
    agent.remember(handovers_kept=agent.memory.handovers_kept + 1)
    if lsn:
        await _tell_end(agent, lsn)


async def _give(agent: Agent, lsn: int, successor: str) -> None:
    agent.remember(handover_done_at=agent.now(), handovers_kept=0)
    try:
        await agent.keeper.release(lsn or None, successor)
    except ConflictError as error:
        agent.log("the lock was gone before its release", error=str(error))


async def _tell_end(agent: Agent, lsn: int) -> None:
    try:
        await agent.keeper.tell_end(lsn)
    except MatriarchError as error:
        agent.log("the end of the WAL is not on record", lsn=lsn, error=str(error))


def stop_within(agent: Agent, most: float = 0.0) -> float | None:
    """Seconds for a primary to stop in order, `most` or as the setting says; None: as long as the adapter allows. In
    asynchronous mode a harder stop could lose what replicas do not have yet, so there neither counts (after
    Patroni)."""
    settings = agent.settings()
    seconds = most or settings.primary_stop_timeout
    return seconds if settings.synchronous and seconds > 0 else None


async def _quiet(agent: Agent, changed_at: float) -> None:
    """Return when kube-proxy would apply a change at once. No renewal is made meanwhile where the lease allows it."""
    end = agent.now() + LONGEST_QUIET_S
    while (left := min(at_once_from((*agent.keeper.renewed, changed_at)), end) - agent.now()) > 0:
        agent.keeper.rest(left + STOP_S)
        await asyncio.sleep(left)


async def _last_moment(agent: Agent, changed_at: float) -> None:
    """Return in time for kube-proxy's next sync: the pod has no time left to wait for a quiet moment after it."""
    # The kubelet may have been slower than everybody who saw the deletion.
    changed_at = min(changed_at, agent.store.pod_gone_at)
    begin = in_time_for_a_sync((*agent.keeper.renewed, changed_at), agent.now(), HURRIED_AHEAD_S)
    left = max(LEAST_S, begin - agent.now())
    agent.keeper.rest(left + STOP_S)
    await asyncio.gather(asyncio.sleep(left), _checkpoint_first(agent, left))


async def _checkpoint_first(agent: Agent, within: float | None) -> None:
    """The shutdown has less to write then. A server that does not get it done is stopped all the same."""
    with suppress(PostgresError, TimeoutError):
        async with asyncio.timeout(min(CHECKPOINT_S, within or CHECKPOINT_S)):
            await agent.postgres.checkpoint()


async def _successor(agent: Agent, candidate: str | None, lsn: int) -> str | None:
    """The candidate, or the most advanced member that may lead, once it has everything up to `lsn`.

    `lsn` 0: the server had to be killed before it wrote its last record. Nothing is acknowledged any more, and the
    listed synchronous standbys have all that was: each of them, or in quorum mode so many together, who then find out
    in their race who of them has it. In asynchronous mode nobody is known to have it.
    """
    view = agent.observer.build()
    able = [member.name for member in view.peers() if _may_succeed(view, member.name, candidate)]
    quorum = view.sync.quorum if sync_active(view) else 0
    voters = view.sync.standbys if quorum else ()
    if not lsn and not sync_active(view):
        return None
    others = tuple(member.name for member in view.peers() if member.name not in (*able, *voters))
    until = agent.now() + CONFIRM_S
    while agent.now() < until:
        poll = await agent.poll_peers(skip=others)
        live = [a for a in poll.answers if a.reachable and a.running]
        fit = [a for a in live if a.name in able and not a.nofailover and not a.unfit and (a.lsn or 0) >= lsn]
        # It will need the word of a quorum, with this member not yet there to give its own.
        if fit and (not quorum or sum(a.name in voters for a in live) > quorum):
            return max(fit, key=lambda answer: (answer.lsn or 0, answer.priority)).name
        await asyncio.sleep(0.05)
    return None


def _may_succeed(view: View, name: str, candidate: str | None) -> bool:
    return candidate in (None, name) and (not sync_active(view) or view.sync.lists(name))


async def pre_promote(agent: Agent) -> None:
    """A program may forbid the promotion: then somebody else is to lead (after Patroni)."""
    command = agent.settings().commands.pre_promote
    if not command:
        return
    try:
        await agent.postgres.run_command(command, within=COMMAND_S)
    except ProgramFailed:
        agent.remember(handover_done_at=agent.now())
        await agent.keeper.release(None)
        raise


async def before_stop(agent: Agent) -> None:
    """A program to run before an orderly stop. Its failure is no reason to go on running."""
    command = agent.settings().commands.before_stop
    if not command:
        return
    try:
        await agent.postgres.run_command(command, within=COMMAND_S)
    except ProgramFailed as error:
        agent.log("before_stop failed", error=str(error))
