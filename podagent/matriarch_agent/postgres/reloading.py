"""Making a changed setting take effect, provably in every process that acts on it.

A reload only sends signals. What matters is the process that acts: a commit waits for a standby once the *checkpointer*
has read synchronous_standby_names, and is let through by *WAL senders*, each with its own copy; the *startup* process
opens the WAL receiver to primary_conninfo. So the signal goes straight to those processes, and each must be seen to
have gone back to sleep in its main loop after it: there it has handled the signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from matriarch.words.errors import QueryFailed
from matriarch_agent.postgres.sql import Session

_LOOK_EVERY_S = 0.005
_ROUNDS = 2
"""A process may have woken by itself, and slept again, between the count and the signal; hardly twice."""
_PROCESSES = "select pid, coalesce(wait_event, '') from pg_stat_activity where backend_type = any($1)"


@dataclass(frozen=True, slots=True)
class Acting:
    """The kinds of processes that act on a setting, and the wait events, in lower case, of the sleeps before which they
    look for a reload."""

    kinds: tuple[str, ...]
    main_loops: frozenset[str]


COMMITTING = Acting(
    ("checkpointer", "walsender"),
    frozenset(
        {"checkpointermain", "checkpointwritedelay", "walsendermain", "walsenderwaitforwal", "walsenderwritedata"}
    ),
)
"""Who makes commits wait for standbys and lets them through."""
RECEIVING = Acting(("startup",), frozenset({"recoverywalstream", "recoveryretrieveretryinterval"}))
"""Who opens the WAL receiver."""


async def reload_provably(
    session: Session, reload: Callable[[], Awaitable[None]], acting: Acting, *, timeout: float
) -> None:
    """Reload and wait. Raises QueryFailed when some process has not taken notice in time; ask again then."""
    await reload()
    try:
        async with asyncio.timeout(timeout):
            for _ in range(_ROUNDS):
                await _round(session, acting)
    except TimeoutError as error:
        kinds = " and ".join(acting.kinds)
        raise QueryFailed(f"the change is not in force in every {kinds} after {timeout} s") from error


async def _round(session: Session, acting: Acting) -> None:
    """Signal every process concerned, those that appear meanwhile too, and wait until each has slept since."""
    before: dict[int, int | None] = {}
    while True:
        sleeps = {pid: _sleeps(pid) for pid in before}
        waiting = False
        for pid, event in await _processes(session, acting):
            if pid not in before:
                before[pid] = _sleeps(pid)
                _signal(pid)
                waiting = True
                continue
            now, then = sleeps.get(pid), before[pid]
            slept = now is not None and then is not None and now > then
            waiting = waiting or not (slept and event.lower() in acting.main_loops)
        if not waiting:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _processes(session: Session, acting: Acting) -> list[tuple[int, str]]:
    rows = await session.rows(_PROCESSES, (list(acting.kinds),))
    return [(int(pid), str(event)) for pid, event in rows]


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise QueryFailed(f"process {pid} cannot be signalled: {error}") from error


def _sleeps(pid: int) -> int | None:
    """How often a process has gone to sleep of itself; None when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches:"))
    except (OSError, StopIteration):
        return None
