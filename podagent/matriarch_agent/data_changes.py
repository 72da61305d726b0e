"""The activities that make, replace or mend the data directory, and the one that saves its WAL before."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from matriarch.ha.actions import ArchiveWal, Bootstrap, Clone, Rewind
from matriarch.ha.view import Upstream
from matriarch.words.errors import PostgresError, ProgramFailed
from matriarch_agent.handover import before_stop
from matriarch_agent.jobs import PAUSE_AFTER_FAILURE_S

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent

ARCHIVE_S = 120.0
"""Seconds for all that a former primary has to archive. It follows nobody meanwhile, and keeps nobody from leading."""
COPY_PAUSES_S = (PAUSE_AFTER_FAILURE_S, PAUSE_AFTER_FAILURE_S, 2.0, 4.0, 8.0)
"""Seconds before the next attempt after one copy that failed, two, and so on: each begins with a checkpoint of the
source, and may read all that it has, only to find once more that the volume here is too small. The first two are
attempts with another source each."""


def pause_after_copy(failures: int) -> float:
    """Seconds before another attempt after so many copies that failed, one after the other."""
    return COPY_PAUSES_S[min(failures, len(COPY_PAUSES_S)) - 1]


async def change_data(agent: Agent, action: Bootstrap | Clone | ArchiveWal | Rewind) -> None:
    """Run one of them to its end. Errors are the caller's to record."""
    match action:
        case Bootstrap():
            await _bootstrap(agent)
        case Clone(source):
            await _clone(agent, source)
        case ArchiveWal():
            await _archive_wal(agent)
        case Rewind(source):
            await _rewind(agent, source)
        case _:
            assert_never(action)


async def _bootstrap(agent: Agent) -> None:
    await agent.keeper.arm()
    sysid = await agent.postgres.bootstrap(agent.settings(), ())
    agent.log("cluster initialised", system_identifier=sysid)
    agent.announcer.say("Initialised", f"new cluster with system identifier {sysid}")


async def _clone(agent: Agent, source: Upstream | None) -> None:
    epoch = agent.store.lock().epoch
    await _stop(agent)
    await agent.postgres.clone(source, agent.settings())
    member = source.member if source is not None else None
    agent.announcer.say("Cloned", f"data copied from {member or 'elsewhere'}")
    agent.remember(
        rewound_epoch=epoch if member is not None else None,
        rewound_from=member,
        rewind_failed=False,
        archive_tried_at=None,
        archive_complaint="",
        clones_failed=0,
        clone_complaint="",
        remote=None,
        reinitialize=False,
        reinitialize_from_leader=False,
    )


async def _stop(agent: Agent) -> None:
    """Stop a replica whose data is to change, with the programs that are told of every other stop."""
    agent.remember(own_stop=True)
    ran = agent.observer.postgres.process != "stopped"
    if ran:
        await before_stop(agent)
    await agent.postgres.stop(fast=True)
    if ran:
        agent.callbacks.stopped()
    await agent.keeper.disarm()


async def _archive_wal(agent: Agent) -> None:
    archived = await agent.postgres.archive_wal(within=ARCHIVE_S)
    new = archived.complaint != agent.memory.archive_complaint
    agent.remember(archive_tried_at=agent.now(), archive_complaint=archived.complaint)
    if archived.complaint and new:
        words = f"{archived.left} finished WAL files of this former primary are not archived: {archived.complaint}"
        agent.announcer.say("NotArchived", words, warning=True)
    agent.log("former primary's WAL archived", files=archived.done, left=archived.left, complaint=archived.complaint)


async def _rewind(agent: Agent, source: Upstream) -> None:
    epoch = agent.store.lock().epoch
    await _stop(agent)
    try:
        dropped = await agent.postgres.rewind(source, agent.settings().commands.rewind)
    except ProgramFailed as error:
        agent.log("pg_rewind failed", error=str(error))
        agent.remember(rewind_failed=await _still_there(agent, source))
        raise
    words = f"rewound to follow {source.member}: {dropped} bytes of WAL that only this member had were dropped"
    agent.announcer.say("Rewound", words, warning=dropped > 0)
    agent.remember(rewound_epoch=epoch, rewound_from=source.member, rewind_failed=False, remote=None)
    agent.remember(archive_tried_at=None, archive_complaint="")


async def _still_there(agent: Agent, source: Upstream) -> bool:
    """Whether a rewind failed although its source is well. A source that went away meanwhile is no reason to give up
    the data: it is tried again, and refused then by itself when something had been written already."""
    try:
        answer = await agent.postgres.ask_history(source, agent.store.lock().epoch)
    except PostgresError:
        return False
    return not answer.in_recovery or agent.settings().standby_cluster is not None
