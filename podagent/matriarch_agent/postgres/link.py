"""A connection to the local server's Unix socket, where the agent's own account gets in without a password.

It is our own and not a library's for three reasons: the agent has to be small, it has to ask replication commands too,
and it has to be free at once when a server hangs, without asking that server to cancel anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

from matriarch.net.stream import ByteStream
from matriarch.words.errors import NotRunning, QueryFailed
from matriarch_agent.postgres.messages import (
    TERMINATE,
    Argument,
    Inbox,
    Message,
    Nonsense,
    complaint_of,
    question,
    startup,
    types_of,
    values_of,
)

Row = tuple[Any, ...]
_ASIDE = frozenset({b"N", b"S", b"A"})
"""Notices, changed settings and notifications: whatever the server says between two answers."""
_GREETING = _ASIDE | {b"K", b"v"}
_AROUND_ROWS = _ASIDE | {b"1", b"2", b"n", b"C", b"I"}


class Link:
    """One question at a time. After an error or a cancellation it is of no more use."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._inbox = Inbox()
        self._read: deque[Message] = deque()

    @classmethod
    async def open(cls, socket: str, parameters: Mapping[str, str]) -> Self:
        """Begin a session. Raises NotRunning, which says why there is none."""
        try:
            _, stream = await asyncio.get_running_loop().create_unix_connection(ByteStream, socket)
        except OSError as error:
            raise NotRunning(f"{socket}: {error.strerror or error}") from error
        link = cls(stream)
        try:
            await link._begin(parameters)
        except BaseException:
            link.drop()
            raise
        return link

    @property
    def ended(self) -> bool:
        """The server has hung up, or we have."""
        return self._stream.ended

    async def ask(self, query: str, arguments: Sequence[Argument] = ()) -> list[Row]:
        """The rows of one query. Raises QueryFailed. Whatever ends it early ends the connection."""
        try:
            self._stream.write(question(query, arguments))
            return await self._rows()
        except (Nonsense, OSError) as error:
            self.drop()
            raise QueryFailed(f"the connection broke: {error}") from error
        except BaseException:
            self.drop()
            raise

    async def close(self) -> None:
        """Take leave, without waiting for the server."""
        self._stream.write(TERMINATE)
        self._stream.transport.close()
        await asyncio.sleep(0)  # the socket is closed in the loop's next turn

    def drop(self) -> None:
        """Let the connection go without a word to the server."""
        self._stream.abort()

    async def _begin(self, parameters: Mapping[str, str]) -> None:
        try:
            self._stream.write(startup(parameters))
            while (message := await self._next()).kind != b"Z":
                if message.kind == b"E":
                    raise NotRunning(str(complaint_of(message.body)))
                if message.kind == b"R" and message.body != b"\0\0\0\0":
                    raise NotRunning("the server asks our own account for a password: its pg_hba.conf is not ours")
                if message.kind != b"R" and message.kind not in _GREETING:
                    raise Nonsense(f"an unexpected message {message.kind!r}")
        except (Nonsense, OSError) as error:
            raise NotRunning(f"no session: {error}") from error

    async def _rows(self) -> list[Row]:
        types: tuple[int, ...] = ()
        rows: list[Row] = []
        while (message := await self._next()).kind != b"Z":
            if message.kind == b"D":
                rows.append(values_of(message.body, types))
            elif message.kind == b"T":
                types = types_of(message.body)
            elif message.kind == b"E":
                raise QueryFailed(str(complaint_of(message.body)))
            elif message.kind not in _AROUND_ROWS:
                raise Nonsense(f"an unexpected message {message.kind!r}")
        return rows

    async def _next(self) -> Message:
        while not self._read:
            data = await self._stream.read()
            if not data:
                raise ConnectionAbortedError("the server hung up")
            self._read.extend(self._inbox.feed(data))
        return self._read.popleft()
