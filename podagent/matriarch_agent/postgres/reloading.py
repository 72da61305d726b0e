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
_PROCESSES = "select pid, coalesce(wait_event, '') from pg_stat_activity where backend_type = any(%s)"


@dataclass(frozen=True, slots=True)
class Acting:
    """The kinds of processes that act on a setting, and the wait events of their main loops."""

    kinds: tuple[str, ...]
    main_loops: frozenset[str]


COMMITTING = Acting(
    ("checkpointer", "walsender"),
    frozenset({"CheckpointerMain", "WalSenderMain", "WalSenderWaitForWAL", "WalSenderWriteData"}),
)
"""Who makes commits wait for standbys and lets them through."""
RECEIVING = Acting(("startup",), frozenset({"RecoveryWalStream", "RecoveryRetrieveRetryInterval"}))
"""Who opens the WAL receiver."""


async def reload_provably(
    session: Session, reload: Callable[[], Awaitable[None]], acting: Acting, *, timeout: float
) -> None:
    """Reload and wait. Raises QueryFailed when some process has not taken notice in time; ask again then."""
    before = {pid: _sleeps(pid) for pid, _ in await _asleep_in(session, acting)}
    await reload()
    for pid in before:
        _signal(pid)
    try:
        async with asyncio.timeout(timeout):
            await _all_slept(session, acting, before)
    except TimeoutError as error:
        raise QueryFailed(
            f"the change is not in force in every {' and '.join(acting.kinds)} after {timeout} s"
        ) from error


async def _all_slept(session: Session, acting: Acting, before: dict[int, int | None]) -> None:
    """A process that was not there before was started by the postmaster, with its configuration of that moment: it is
    signalled too, and waited for like the others."""
    while True:
        sleeps = {pid: _sleeps(pid) for pid in before}
        waiting = False
        for pid, event in await _asleep_in(session, acting):
            if pid not in before:
                before[pid] = _sleeps(pid)
                _signal(pid)
                waiting = True
                continue
            now, then = sleeps.get(pid), before[pid]
            asleep_again = now is not None and then is not None and now > then and event in acting.main_loops
            waiting = waiting or not asleep_again
        if not waiting:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _asleep_in(session: Session, acting: Acting) -> list[tuple[int, str]]:
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
