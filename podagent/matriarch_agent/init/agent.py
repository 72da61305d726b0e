"""The agent as init sees it: a child that is started again whenever it dies, while Postgres goes on."""

from __future__ import annotations

import os

from matriarch_agent.init import processes
from matriarch_agent.init.bare import TYPE_CHECKING, signal
from matriarch_agent.init.kernel import now
from matriarch_agent.init.log import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
HEALTHY_AFTER_S = 10.0
"""An agent that lived this long is restarted without delay the next time."""


class AgentProcess:
    """Starts the agent and decides when to start the next one."""

    def __init__(self, argv: Sequence[str], before_exec: Callable[[], object] | None) -> None:
        self.pid: int | None = None
        self.session: int | None = None
        """Session of the present or last agent: the programs that it started are in it."""
        self.restart_at: float | None = 0.0
        """When to start the next one; None while one runs or when none is wanted."""
        self.status: int | None = None
        self._argv = argv
        self._before_exec = before_exec
        self._pause = FIRST_PAUSE_S
        self._started_at = 0.0

    def start(self) -> None:
        """Start the agent. When it cannot be executed, try again later."""
        self._started_at = now()
        self.restart_at = None
        try:
            self.pid = processes.spawn(self._argv, os.environ, before_exec=self._before_exec)
        except OSError as error:
            log("error", "agent cannot be executed", error=str(error))
            self._plan_restart()
            return
        self.session = self.pid
        log("info", "agent started", pid=self.pid)

    def reaped(self, pid: int, wait_status: int) -> bool:
        """Take note of a dead child. True when it was the agent.

        The programs that it left behind (a half-done pg_basebackup, say) are killed: the next agent starts its own.
        """
        if pid != self.pid:
            return False
        self.pid = None
        self.status = os.waitstatus_to_exitcode(wait_status)
        left = processes.session_members(pid)
        for leftover in left:
            processes.send(leftover, signal.SIGKILL)
        log("warning", "agent ended", pid=pid, status=self.status, left_behind=len(left))
        self._plan_restart()
        return True

    def send(self, number: int) -> None:
        """Send a signal to the agent, if there is one."""
        if self.pid is not None:
            processes.send(self.pid, number)

    def give_up(self) -> None:
        """Start no other."""
        self.restart_at = None

    def _plan_restart(self) -> None:
        if now() - self._started_at >= HEALTHY_AFTER_S:
            self._pause = FIRST_PAUSE_S
        self.restart_at = now() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
