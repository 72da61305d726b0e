"""The only module that speaks SQL: psycopg is seen here and nowhere else in the agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection

from matriarch.config.quoting import conninfo
from matriarch.words.errors import NotRunning, QueryFailed

Result = TypeVar("Result")
CONNECT_WITHIN_S = 3
_STATEMENT_WITHIN_MS = 2000
_SESSION = {
    "search_path": "pg_catalog",
    "synchronous_commit": "local",
    "statement_timeout": str(_STATEMENT_WITHIN_MS),
    "lock_timeout": "1000",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "10000",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "pg_stat_statements.track_utility": "off",
    "pgaudit.log": "none",
    "default_transaction_read_only": "off",
}
"""For our own sessions: never blocked by a missing synchronous standby, never led to another
schema's functions and never in a log, never for ever."""


class Session:
    """One lasting connection for the agent's own quick questions. Connects by itself and again after a loss."""

    def __init__(self, socket_directory: str, port: int, user: str) -> None:
        self.where = {"host": socket_directory, "port": str(port), "user": user, "dbname": "postgres"}
        self._connection: AsyncConnection[Any] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def row(self, query: str, parameters: tuple[object, ...] = (), *, timeout: float = 2.0) -> tuple[Any, ...]:
        """The first row. Raises NotRunning when there is nothing to connect to, QueryFailed otherwise."""
        rows = await self.rows(query, parameters, timeout=timeout)
        if not rows:
            raise QueryFailed("no row came back")
        return rows[0]

    async def rows(
        self, query: str, parameters: tuple[object, ...] = (), *, timeout: float = 2.0
    ) -> list[tuple[Any, ...]]:
        """All rows. The same errors; after any the next call connects anew."""
        try:
            async with asyncio.timeout(timeout), self._one_at_a_time:
                return await unhurried(self._rows(query, parameters), self.drop)
        except TimeoutError as error:
            raise QueryFailed(f"no answer within {timeout} s") from error

    def drop(self) -> None:
        """Forget the connection without asking the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()

    async def _rows(self, query: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await _connect(self.where)
        try:
            return await _fetch(self._connection, query, parameters)
        except QueryFailed:
            self.drop()
            raise


async def unhurried(work: Coroutine[Any, Any, Result], drop: Callable[[], None]) -> Result:
    """Await `work` on a connection; when cancelled, drop the connection first.

    psycopg answers a cancellation by asking the server to cancel the query and waits for it, ten seconds with a server
    that hangs. With the connection gone it lets go at once.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        drop()
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise


@asynccontextmanager
async def short_session(
    socket_directory: str, port: int, user: str, *, statement_timeout_s: float, dbname: str = "postgres"
) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection of its own for something that takes longer. The same errors as Session."""
    where = {"host": socket_directory, "port": str(port), "user": user, "dbname": dbname}
    connection = await _connect(where, statement_timeout=str(int(statement_timeout_s * 1000)))
    try:
        yield connection
    finally:
        with suppress(psycopg.Error):
            await connection.close()


async def execute(connection: AsyncConnection[Any], statement: str) -> None:
    """Run one statement without a result."""
    try:
        await unhurried(connection.execute(statement.encode()), connection.pgconn.finish)
    except psycopg.Error as error:
        raise QueryFailed(_told(error)) from error


async def local_timeline(session: Session) -> int:
    """The timeline that the local server is on, as IDENTIFY_SYSTEM tells it."""
    where = conninfo({**session.where, "replication": "true", "connect_timeout": str(CONNECT_WITHIN_S)})
    answers, _ = await replication_rows(where, ["IDENTIFY_SYSTEM"])
    return int(answers[0][1])


async def remote_row(connection_string: str, query: str) -> tuple[Any, ...]:
    """The first row of one question to another member. Raises NotRunning or QueryFailed."""
    try:
        connection = await AsyncConnection.connect(connection_string, autocommit=True)
    except psycopg.Error as error:
        raise NotRunning(_told(error)) from error
    try:
        rows = await unhurried(_fetch(connection, query, ()), connection.pgconn.finish)
    finally:
        with suppress(psycopg.Error):
            await connection.close()
    if not rows:
        raise QueryFailed("no row came back")
    return rows[0]


async def replication_rows(connection_string: str, commands: list[str]) -> tuple[list[tuple[Any, ...]], bool]:
    """Replication commands over one connection: the first row of each answer, and whether the server is in recovery.

    Raises NotRunning or QueryFailed.
    """
    answers: list[tuple[Any, ...]] = []
    try:
        connection = await AsyncConnection.connect(connection_string, autocommit=True)
    except psycopg.Error as error:
        raise NotRunning(_told(error)) from error
    try:
        for command in commands:
            cursor = await connection.execute(command.encode())
            row = await cursor.fetchone()
            if row is None:
                raise QueryFailed(f"no answer to {command.split()[0]}")
            answers.append(tuple(row))
        in_recovery = connection.info.parameter_status("in_hot_standby") == "on"
    except psycopg.Error as error:
        raise QueryFailed(_told(error)) from error
    finally:
        with suppress(psycopg.Error):
            await connection.close()
    return answers, in_recovery


async def _connect(where: Mapping[str, str], **session: str) -> AsyncConnection[Any]:
    options = " ".join(f"-c {name}={value}" for name, value in {**_SESSION, **session}.items())
    text = conninfo(
        {
            **where,
            "options": options,
            "connect_timeout": str(CONNECT_WITHIN_S),
            "application_name": "matriarch-agent",
            "gssencmode": "disable",
            "client_encoding": "UTF8",
        }
    )
    try:
        return await AsyncConnection.connect(text, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise NotRunning(_told(error)) from error


async def _fetch(connection: AsyncConnection[Any], query: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
    try:
        cursor = await connection.execute(query.encode(), parameters or None)
        return [] if cursor.description is None else [tuple(row) for row in await cursor.fetchall()]
    except psycopg.Error as error:
        raise QueryFailed(_told(error)) from error


def _told(error: psycopg.Error) -> str:
    return str(error).strip().replace("\n", " ")[:500]
