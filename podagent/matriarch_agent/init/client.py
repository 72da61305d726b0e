"""The agent's end of init's socket: the leash, and the hand on the postmaster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from matriarch.words.errors import NotRunning, PostgresError, Unavailable
from matriarch_agent.init.wire import request

_REPLY_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class PostmasterStatus:
    """What init knows. Times on CLOCK_BOOTTIME in seconds."""

    pid: int | None
    alive: bool
    """A postmaster, or anything that it left behind, is alive."""
    started_at: float | None
    exit_status: int | None
    """Of the last postmaster that ended; negative for a signal."""
    lease: float | None
    terminating: bool


class InitClient:
    """Implements the `Init` port, and what the Postgres adapter needs besides.

    Connects by itself and again after a loss. Every method raises Unavailable when init does not answer; the outcome
    of what was asked is then unknown.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._reader_task: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._changes = 0
        self._changed = asyncio.Event()

    async def set_lease(self, until: float | None) -> None:
        """Tell the end of the lease; None takes Postgres off the leash."""
        await self._ask("lease", "" if until is None else repr(until))

    async def lease(self) -> float | None:
        """The end of the lease that init knows."""
        return (await self.status()).lease

    async def untouched(self) -> bool:
        """Whether no postmaster has run since init started."""
        status = await self.status()
        return not status.alive and status.exit_status is None

    async def status(self) -> PostmasterStatus:
        """The postmaster's state."""
        return _status(await self._ask("status"))

    async def start(self, argv: Sequence[str], env: Mapping[str, str], log_file: str | None = None) -> int:
        """Start a postmaster; returns its process id.

        Raises PostgresError when one is alive, the lease has ended or the program cannot be executed.
        """
        settings = (f"{name}={value}" for name, value in env.items())
        answer = await self._ask("start", log_file or "", str(len(argv)), *argv, *settings)
        return int(answer["pid"])

    async def signal(self, name: str) -> None:
        """Send a signal (`HUP`, `INT`, `QUIT`, `TERM`) to the postmaster. Raises NotRunning when there is none."""
        try:
            await self._ask("signal", name)
        except PostgresError as error:
            raise NotRunning(str(error)) from error

    async def kill(self, *, timeout: float | None = None) -> None:
        """SIGKILL every process of the postmaster; returns when none is left."""
        await self._ask("kill", timeout=timeout)

    @property
    def changes(self) -> int:
        """How many starts and ends of a postmaster this client has heard of."""
        return self._changes

    async def wait_for_change(self, seen: int) -> int:
        """Wait until `changes` exceeds `seen`; returns it. A new connection counts as a change."""
        while self._changes <= seen:
            self._changed.clear()
            try:
                await self._connect()
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            await self._changed.wait()
        return self._changes

    async def close(self) -> None:
        """Drop the connection."""
        task, self._reader_task = self._reader_task, None
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _ask(self, verb: str, *words: str, timeout: float | None = _REPLY_WITHIN_S) -> dict[str, Any]:
        writer = await self._connect()
        self._number += 1
        number = self._number
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[number] = reply
        try:
            writer.write(request(number, verb, *words))
            async with asyncio.timeout(timeout):
                answer = await reply
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"init did not answer {verb!r}: {error or 'no reply in time'}") from error
        finally:
            del self._pending[number]
        if not answer.get("ok"):
            raise PostgresError(f"init refused {verb!r}: {answer.get('error')}")
        return answer

    async def _connect(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is not None and self._reader_task is not None and not self._reader_task.done():
                return self._writer
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError as error:
                raise Unavailable(f"init cannot be reached at {self._path}: {error}") from error
            self._writer = writer
            writer.write(request(0, "watch"))
            self._reader_task = asyncio.create_task(self._read(reader, writer), name="init-reader")
            self._note_change()
            return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if "event" in message:
                    self._note_change()
                    continue
                waiting = self._pending.get(message.get("id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except OSError as error:
            self._fail(error)
        else:
            self._fail(ConnectionResetError("init closed the connection"))
        finally:
            writer.close()
            self._note_change()

    def _fail(self, error: OSError) -> None:
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(error)

    def _note_change(self) -> None:
        self._changes += 1
        self._changed.set()


def _status(answer: Mapping[str, Any]) -> PostmasterStatus:
    last = answer.get("last_exit")
    return PostmasterStatus(
        pid=answer["pid"],
        alive=bool(answer["alive"]),
        started_at=answer["started_at"],
        exit_status=None if last is None else int(last["status"]),
        lease=answer["lease"],
        terminating=bool(answer["terminating"]),
    )
