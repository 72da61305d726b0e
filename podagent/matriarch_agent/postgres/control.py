"""Starting, stopping and promoting the server through init."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from matriarch.words.errors import MatriarchError, NotRunning, PostgresError, QueryFailed
from matriarch_agent.files import remove_file, replace_file
from matriarch_agent.init import kernel
from matriarch_agent.init.client import InitClient, PostmasterStatus
from matriarch_agent.postgres import sql
from matriarch_agent.postgres.controldata import ControlCache
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.sql import Session

LOOK_EVERY_S = 0.01
CHECKPOINT_BEFORE_STOP_WITHIN_S = 60.0
FAST_STOP_WITHIN_S = 30.0
IMMEDIATE_STOP_WITHIN_S = 5.0
_STATUS_LINE = 7
"""Index of the postmaster's status in postmaster.pid, as pg_ctl reads it."""
_OPTIONS = "postmaster.opts"
"""A server writes it once it has its configuration, its memory and its sockets; its data comes next."""

Phase = Literal["stopped", "starting", "running", "stopping"]


class DataFailure(PostgresError):
    """The server turned to its data, and ended instead of starting."""


class ServerControl:
    """The postmaster's life. It runs under init; this only asks and looks."""

    def __init__(self, place: Place, init: InitClient, session: Session, control: ControlCache, superuser: str) -> None:
        self._place = place
        self._init = init
        self._session = session
        self._control = control
        self._superuser = superuser
        self.stopping = False

    def phase(self, status: PostmasterStatus) -> Phase:
        """What the postmaster is doing."""
        if not status.alive:
            return "stopped"
        if status.pid is None or self.stopping:
            return "stopping"
        written = self._written_status(status.pid)
        if written in ("ready", None):
            # Where its own file cannot be read, sessions tell whether it is of use.
            return "running"
        return "stopping" if written == "stopping" else "starting"

    async def start(self) -> None:
        """Start the postmaster and wait until it accepts connections.

        Raises NotRunning when one is alive, DataFailure or another PostgresError when it ends instead.
        """
        if (await self._init.status()).alive:
            raise NotRunning("another postmaster of this directory is alive")
        self._remove_leftovers()
        self._session.drop()
        self.stopping = False
        seen = self._init.changes
        argv = [self._place.program("postgres"), "-D", str(self._place.pgdata)]
        pid = await self._init.start(argv, self._place.environment(), self._place.log_file)
        while self._written_status(pid) != "ready":
            if self._init.changes > seen:
                seen = self._init.changes
                status = await self._init.status()
                if status.pid != pid or not status.alive:
                    raise self._ended(status.exit_status)
            await asyncio.sleep(LOOK_EVERY_S)

    async def stop(
        self,
        *,
        fast: bool,
        on_shutdown_checkpoint: Callable[[int], Awaitable[None]] | None,
        within: float | None = None,
    ) -> None:
        """Stop, by ever harder means; returns when nothing is left. Every step is bounded: an old primary that does not
        react must not keep writes down. `within`: seconds for the checkpoint and the fast shutdown together."""
        status = await self._init.status()
        if not status.alive:
            return
        began = kernel.now()
        if fast and self.phase(status) == "running":
            bound = min(CHECKPOINT_BEFORE_STOP_WITHIN_S, within or CHECKPOINT_BEFORE_STOP_WITHIN_S)
            with suppress(PostgresError, TimeoutError):
                await self.checkpoint(bound)
        left = FAST_STOP_WITHIN_S if within is None else max(0.0, within - (kernel.now() - began))
        self.stopping = True
        try:
            await self._stop(left if fast else None, on_shutdown_checkpoint)
        finally:
            self.stopping = False
            self._session.drop()

    async def kill(self) -> None:
        """SIGKILL every process; returns when none is left."""
        await self._init.kill()
        self._session.drop()

    async def reload(self) -> None:
        """Make the server read its configuration. Raises NotRunning."""
        await self._init.signal("HUP")

    async def promote(self) -> None:
        """Leave recovery and wait until that is done. Raises PostgresError when the server ends instead."""
        row = await self._session.row("select pg_is_in_recovery()")
        if row[0]:
            replace_file(self._place.pgdata / "promote", "", durable=False)
            await self._init.signal("USR1")
        while True:
            with suppress(QueryFailed):
                if not (await self._session.row("select pg_is_in_recovery()"))[0]:
                    return
            if not (await self._init.status()).alive:
                raise PostgresError("the server ended while being promoted")
            await asyncio.sleep(LOOK_EVERY_S)

    async def checkpoint(self, timeout: float) -> None:
        """CHECKPOINT, over a connection of its own."""
        where = (str(self._place.run), self._place.port, self._superuser)
        async with asyncio.timeout(timeout), sql.short_session(*where, statement_timeout_s=timeout) as link:
            await link.ask("CHECKPOINT")

    async def _stop(
        self, fast_within: float | None, on_shutdown_checkpoint: Callable[[int], Awaitable[None]] | None
    ) -> None:
        steps = [("INT", fast_within)] if fast_within is not None else []
        for name, bound in [*steps, ("QUIT", IMMEDIATE_STOP_WITHIN_S)]:
            try:
                await self._init.signal(name)
                async with asyncio.timeout(bound):
                    await self._wait_end(on_shutdown_checkpoint if name == "INT" else None)
                return
            except NotRunning:
                break
            except TimeoutError:
                continue
        await self._init.kill()

    async def _wait_end(self, tell: Callable[[int], Awaitable[None]] | None) -> None:
        """Wait for the last process. `tell` hears the end of the WAL as soon as the shutdown record is written: the
        server then still waits for its standbys to receive it."""
        # A server may end before init's answer to the signal is read here: then there is no change to come.
        seen = -1
        while True:
            if tell is not None and self._control.changed():
                tell = await self._told(tell)
            if self._init.changes > seen:
                seen = self._init.changes
                if not (await self._init.status()).alive:
                    break
            await asyncio.sleep(LOOK_EVERY_S)
        if tell is not None:
            await self._told(tell)

    async def _told(self, tell: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]] | None:
        found = await self._control.read()
        if found is None or found.data.state != "shut down" or found.data.end_lsn is None:
            return tell
        await tell(found.data.end_lsn)
        return None

    def _written_status(self, pid: int) -> str | None:
        """What the postmaster wrote of itself; empty when this one has not yet, None when that cannot be read."""
        try:
            lines = (self._place.pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        except OSError:
            return None
        if len(lines) <= _STATUS_LINE or lines[0].strip() != str(pid):
            return ""
        return lines[_STATUS_LINE].strip()

    def _ended(self, exit_status: int | None) -> PostgresError:
        """Why a start came to nothing, by how far the server got."""
        if os.path.exists(self._place.pgdata / _OPTIONS):
            return DataFailure(f"the server ended while starting, with status {exit_status}; see its log")
        return PostgresError(
            f"the server ended with status {exit_status} before it turned to its data: a parameter, or what this "
            "machine has to give, is at fault; see its log"
        )

    def _remove_leftovers(self) -> None:
        """Files of a dead postmaster would keep a new one from starting when some other process now has its number.

        init holds the volume's lock and has no postmaster, so nothing that they could mean is alive.
        Raises PostgresError.
        """
        socket = self._place.run / f".s.PGSQL.{self._place.port}"
        lock = socket.with_name(socket.name + ".lock")
        for path in (self._place.pgdata / "postmaster.pid", self._place.pgdata / _OPTIONS, socket, lock):
            remove_file(path, durable=False)


async def known_status(init: InitClient, within: float) -> PostmasterStatus | None:
    """init's answer, or None when it gives none in time."""
    try:
        async with asyncio.timeout(within):
            return await init.status()
    except (MatriarchError, TimeoutError):
        return None
