"""The postmaster as init sees it: started, signalled, reaped, and swept away to the last process."""

from __future__ import annotations

import os

from matriarch_agent.init import processes
from matriarch_agent.init.bare import TYPE_CHECKING, signal
from matriarch_agent.init.kernel import now
from matriarch_agent.init.log import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SWEEP_EVERY_S = 0.002
"""Pause between two looks for remaining processes; grows to the next figure when they take long to die."""
SWEEP_SLOWEST_S = 0.05
_CLEAN_LOOKS = 2
"""A look through /proc is not atomic: two in a row must find nothing."""


class Refused(Exception):
    """A request that cannot be carried out now; the text goes to the asker."""


class Exit:
    """How a postmaster ended. `status` as in subprocess: negative for a signal."""

    __slots__ = ("at", "pid", "status")

    def __init__(self, pid: int, status: int, at: float) -> None:
        self.pid = pid
        self.status = status
        self.at = at


class Postmaster:
    """At most one postmaster and its processes.

    It counts as ended only when the postmaster is reaped *and* nothing that it left behind is alive: an orphaned
    backend can still commit, and holds the shared memory that a new postmaster needs.
    """

    def __init__(
        self,
        lock: processes.VolumeLock,
        agent_session: Callable[[], int | None],
        before_exec: Callable[[], object] | None,
    ) -> None:
        self.pid: int | None = None
        self.started_at: float | None = None
        self.last_exit: Exit | None = None
        self.sweeping = False
        self.next_look: float | None = None
        self._lock = lock
        self._agent_session = agent_session
        self._before_exec = before_exec
        self._reaped: Exit | None = None
        self._clean_looks = 0
        self._pause = SWEEP_EVERY_S
        self._killed: set[int] = set()

    @property
    def alive(self) -> bool:
        """Whether any process of Postgres may be alive."""
        return self.pid is not None or self.sweeping

    def start(self, argv: Sequence[str], env: Mapping[str, str], log_file: str | None) -> None:
        """Start a postmaster. Raises Refused when one is alive or the program cannot be executed."""
        if self.alive:
            raise Refused("a postmaster is alive")
        try:
            self.pid = processes.spawn(argv, env, before_exec=self._before_exec, log_file=log_file)
        except OSError as error:
            raise Refused(f"cannot execute: {error}") from error
        self.started_at = now()
        self._reaped = None
        log("info", "postmaster started", pid=self.pid)

    def send(self, number: int) -> None:
        """Send a signal to the postmaster. Raises Refused when there is none."""
        if self.pid is None or self._reaped is not None or not processes.send(self.pid, number):
            raise Refused("there is no postmaster")

    def kill(self) -> int:
        """Kill the postmaster and its children at once, then sweep. Returns how many processes the first blow hit."""
        hit = 0
        if self.pid is not None and self._reaped is None:
            processes.send(self.pid, signal.SIGSTOP)
            hit = sum(processes.send(child, signal.SIGKILL) for child in processes.children(self.pid))
            hit += processes.send(self.pid, signal.SIGKILL)
        if not self.sweeping:
            self._begin_sweep()
        return hit

    def reaped(self, pid: int, wait_status: int) -> bool:
        """Take note of a dead child. True when it was the postmaster."""
        if pid != self.pid:
            return False
        self._reaped = Exit(pid, os.waitstatus_to_exitcode(wait_status), now())
        if not self.sweeping:
            self._begin_sweep()
        return True

    def look(self) -> bool:
        """One step of the sweep: kill what is left. True when, with this look, nothing is."""
        running = self.pid if self._reaped is None else None
        left = processes.servers(running, self._agent_session(), self._lock)
        for pid in left:
            processes.send(pid, signal.SIGKILL)
        self._killed.update(left)
        self._clean_looks = 0 if left or running is not None else self._clean_looks + 1
        if self._clean_looks < _CLEAN_LOOKS:
            self._pause = min(self._pause * 1.3, SWEEP_SLOWEST_S)
            self.next_look = now() + (0.0 if self._clean_looks else self._pause)
            return False
        self._finish()
        return True

    def _begin_sweep(self) -> None:
        self.sweeping = True
        self.next_look = now()
        self._clean_looks = 0
        self._pause = SWEEP_EVERY_S
        self._killed = set()

    def _finish(self) -> None:
        self.sweeping = False
        self.next_look = None
        if self._reaped is not None:
            self.last_exit = self._reaped
            facts = {"pid": self._reaped.pid, "status": self._reaped.status, "swept": len(self._killed)}
            log("info", "postmaster ended", **facts)
        self.pid = None
        self.started_at = None
        self._reaped = None
