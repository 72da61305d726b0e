"""One client session as a careful application would hold it: every step has an end, and what hangs is abandoned.

psycopg answers a cancelled query by asking the server to cancel and waiting for it, up to ten seconds when the server
is cut off. An application that measures an outage may not wait for that, so a query that overruns has its socket shut.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Any

import psycopg

CONNECT_TIMEOUT_S = 0.4
STATEMENT_TIMEOUT_S = 1.0


class Overrun(Exception):
    """No answer in time. The statement's outcome is unknown."""


FAILURES = (psycopg.Error, Overrun, OSError)


class Session:
    """A lazily opened autocommit connection to one address."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def execute(
        self, query: str, parameters: tuple[Any, ...] = (), timeout: float = STATEMENT_TIMEOUT_S
    ) -> list[tuple[Any, ...]]:
        """Run one statement. `timeout` in seconds, apart from connecting. Raises Overrun, psycopg.Error, OSError.

        After any of these the next call starts with a new connection.
        """
        if self._connection is None:
            self._connection = await self._connect()
        task = asyncio.ensure_future(self._rows(self._connection, query, parameters))
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if not done:
            await self._abandon(task)
            raise Overrun(f"no answer within {timeout:g} s")
        try:
            return task.result()
        except psycopg.errors.ReadOnlySqlTransaction:
            raise
        except (psycopg.Error, OSError):
            self.close()
            raise

    async def execute_within(
        self, query: str, within: float, parameters: tuple[Any, ...] = (), timeout: float = 5.0
    ) -> list[tuple[Any, ...]]:
        """Run a statement until it succeeds, on a new connection each time: who is primary may change meanwhile. Raises
        the last error when that takes longer than `within` seconds."""
        deadline = time.monotonic() + within
        while True:
            try:
                return await self.execute(query, parameters, timeout)
            except FAILURES:
                self.close()
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    def close(self) -> None:
        """Drop the connection without a word to the server."""
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        except TimeoutError as error:
            raise Overrun(f"no connection within {CONNECT_TIMEOUT_S:g} s") from error

    @staticmethod
    async def _rows(
        connection: psycopg.AsyncConnection[Any], query: str, parameters: tuple[Any, ...]
    ) -> list[tuple[Any, ...]]:
        cursor = await connection.execute(query, parameters)
        return await cursor.fetchall() if cursor.description is not None else []

    async def _abandon(self, task: asyncio.Future[Any]) -> None:
        """Shut the socket, so that the query ends with an error at once; only then is its descriptor closed."""
        assert self._connection is not None
        descriptor = os.dup(self._connection.pgconn.socket)
        with socket.socket(fileno=descriptor) as alias:
            try:
                alias.shutdown(socket.SHUT_RDWR)
            except OSError:
                task.cancel()
        await asyncio.wait({task}, timeout=2.0)
        if task.done() and not task.cancelled():
            task.exception()
        self.close()


def first_line(error: BaseException) -> str:
    """An error as one short line for counting."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:140]
