"""Making synchronous_standby_names take effect, provably in every process that acts on it.

A reload only sends signals. A commit waits for a standby once the *checkpointer* has read the new value, and is let
through by *WAL senders*, each with its own copy. So the signal goes straight to those processes, and each must be seen
to have gone back to sleep in its main loop after it: there it has handled the signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from matriarch.words.errors import QueryFailed
from matriarch_agent.postgres.sql import Session

_LOOK_EVERY_S = 0.005
_CONCERNED = """
select pid, coalesce(wait_event, '') from pg_stat_activity
where backend_type in ('checkpointer', 'walsender')
"""
_MAIN_LOOPS = frozenset({"CheckpointerMain", "WalSenderMain", "WalSenderWaitForWAL", "WalSenderWriteData"})


async def await_in_force(session: Session, reload: Callable[[], Awaitable[None]], *, timeout: float) -> None:
    """Reload and wait. Raises QueryFailed when some process has not taken notice in time; ask again then."""
    before = {pid: _sleeps(pid) for pid, _ in await _concerned(session)}
    await reload()
    for pid in before:
        _signal(pid)
    try:
        async with asyncio.timeout(timeout):
            await _all_slept(session, before)
    except TimeoutError as error:
        raise QueryFailed(f"synchronous_standby_names is not in force everywhere after {timeout} s") from error


async def _all_slept(session: Session, before: dict[int, int | None]) -> None:
    """A process that was not there before was started by the postmaster, with its configuration of that moment: it is
    signalled too, and waited for like the others."""
    while True:
        sleeps = {pid: _sleeps(pid) for pid in before}
        waiting = False
        for pid, event in await _concerned(session):
            if pid not in before:
                before[pid] = _sleeps(pid)
                _signal(pid)
                waiting = True
                continue
            now, then = sleeps.get(pid), before[pid]
            asleep_again = now is not None and then is not None and now > then and event in _MAIN_LOOPS
            waiting = waiting or not asleep_again
        if not waiting:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _concerned(session: Session) -> list[tuple[int, str]]:
    return [(int(pid), str(event)) for pid, event in await session.rows(_CONCERNED)]


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
