"""What outlives one look: the one long activity, and small tasks beside everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from matriarch.ha.actions import Long, Restart
from matriarch.ha.view import Activity
from matriarch.words.errors import MatriarchError
from matriarch_agent.files import file_problem
from matriarch_agent.journal import Log
from matriarch_agent.ports import Now

PAUSE_AFTER_FAILURE_S = 0.5
"""Seconds for which a failed activity stays under way at least, so that it is not begun again in a tight loop."""


class Jobs:
    """Runs activities by `carry_out` and reports their failures to `failed`, which says for how many seconds they are
    not begun again."""

    def __init__(
        self,
        carry_out: Callable[[Long], Awaitable[None]],
        failed: Callable[[Long, MatriarchError], float],
        now: Now,
        wake: Callable[[], None],
        log: Log,
    ) -> None:
        self._carry_out, self._failed, self._now, self._wake, self._log = carry_out, failed, now, wake, log
        self._task: asyncio.Task[None] | None = None
        self._aside: set[asyncio.Task[None]] = set()
        self._complaints: dict[str, str] = {}
        """Why each action beside everything else failed the last time; none after one that did not."""
        self.activity: Activity | None = None
        """The long activity under way."""

    def begin(self, action: Long) -> asyncio.Task[None]:
        """Start the one long activity; one that is under way is cancelled and waited for first."""
        previous, name = self._task, type(action).__name__
        self.activity = Activity(name, self._now(), action.within if isinstance(action, Restart) else None)
        self._task = asyncio.create_task(self._run(action, previous), name=f"activity-{name}")
        return self._task

    def aside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something small beside everything else; nobody waits for it."""
        task = asyncio.create_task(work, name=name)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def begin_aside(self, action: Long) -> None:
        """Run an action beside everything else, unless it is being run already."""
        name = f"aside-{type(action).__name__}"
        if all(task.get_name() != name for task in self._aside):
            self.aside(self._told_once(action), name)

    def break_off(self) -> None:
        """Cancel the activity; the next look tells what is left of it."""
        if self._task is not None and not self._task.done():
            self._task.cancel()

    async def stop_activity(self, within: float) -> bool:
        """Cancel the activity and wait for its end. False when it has not ended `within` seconds."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=within)
            if not task.done():
                return False
        self._task, self.activity = None, None
        return True

    def cancel_all(self) -> None:
        """The agent ends; Postgres lives on."""
        self.break_off()
        for task in self._aside:
            task.cancel()

    async def _run(self, action: Long, previous: asyncio.Task[None] | None) -> None:
        mine = self.activity
        try:
            if previous is not None and not previous.done():
                previous.cancel()
                await asyncio.wait({previous}, timeout=5.0)
            await self._guarded(action)
        finally:
            if self.activity is mine:
                self.activity = None
            self._wake()

    async def _guarded(self, action: Long) -> None:
        error = await self._attempt(action)
        if error is not None:
            await asyncio.sleep(self._failed(action, error))

    async def _told_once(self, action: Long) -> None:
        """What fails beside everything else is tried again for as long as somebody wants it, without end if its fault
        is a person's: the log hears of it when it begins, and when it changes."""
        name = type(action).__name__
        error = await self._attempt(action, known=self._complaints.get(name))
        if error is None:
            self._complaints.pop(name, None)
            return
        self._complaints[name] = str(error)
        await asyncio.sleep(self._failed(action, error))

    async def _attempt(self, action: Long, known: str | None = None) -> MatriarchError | None:
        """Carry it out, and tell how it ended, unless that is `known`. Returns why it failed."""
        started, name = self._now(), type(action).__name__
        try:
            await self._carry_out(action)
        except (MatriarchError, OSError) as problem:
            error = problem if isinstance(problem, MatriarchError) else file_problem(problem)
            if str(error) != known:
                self._log("activity failed", activity=name, error=str(error), kind=type(problem).__name__)
            return error
        self._log("activity done", activity=name, seconds=round(self._now() - started, 3))
        return None
