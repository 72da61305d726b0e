"""The settings' callbacks: programs that are told what happens to Postgres (after Patroni).

One at a time and beside everything else: nothing waits for them, and a newer one ends an older one with its children.
`on_reload` is a lane of its own, so that it never ends one that tells of a role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from matriarch.ha.commands import Command
from matriarch.ha.settings import ClusterSettings
from matriarch.words.errors import PostgresError
from matriarch_agent.journal import Log

WITHIN_S = 300.0
"""Seconds that a callback may take."""


class Callbacks:
    """Calls `command <event> <role> <cluster>`."""

    def __init__(
        self,
        run: Callable[[Command], Awaitable[None]],
        settings: Callable[[], ClusterSettings],
        cluster: str,
        log: Log,
    ) -> None:
        self._run, self._settings, self._cluster, self._log = run, settings, cluster, log
        self._running: dict[bool, asyncio.Task[None]] = {}
        self._role: str | None = None

    def serves(self, role: str, event: str) -> None:
        """Postgres is up in `role`. When it had another one before, that is what is told, and not `event`."""
        before, self._role = self._role, role
        self._call("on_role_change" if before not in (None, role) else event)

    def was(self, role: str) -> None:
        """The role of a server that an earlier agent started."""
        if self._role is None:
            self._role = role

    def stopped(self) -> None:
        """Postgres was stopped or killed."""
        self._call("on_stop")

    def reloaded(self) -> None:
        """The configuration was loaded again."""
        self._call("on_reload")

    async def settle(self, within: float) -> None:
        """Let what still runs come to its end, before the agent leaves."""
        running = [task for task in self._running.values() if not task.done()]
        if running:
            await asyncio.wait(running, timeout=within)

    def end(self) -> None:
        """Kill what still runs."""
        for task in self._running.values():
            task.cancel()

    def _call(self, event: str) -> None:
        command = self._settings().commands.callbacks.get(event)
        if command is None:
            return
        lane = event == "on_reload"
        previous = self._running.get(lane)
        argv = (*command, event, self._role or "replica", self._cluster)
        self._running[lane] = asyncio.create_task(self._carry_out(event, argv, previous), name=f"callback-{event}")

    async def _carry_out(self, event: str, argv: Command, previous: asyncio.Task[None] | None) -> None:
        if previous is not None and not previous.done():
            previous.cancel()
            await asyncio.wait({previous})
        try:
            await self._run(argv)
        except PostgresError as error:
            self._log("callback failed", callback=event, error=str(error))
