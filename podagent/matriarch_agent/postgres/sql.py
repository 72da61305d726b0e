"""The agent's questions to its own server, and what every session of ours has to begin with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from matriarch.words.errors import NotRunning, QueryFailed
from matriarch_agent.postgres.link import Link, Row
from matriarch_agent.postgres.messages import Argument

CONNECT_WITHIN_S = 3.0
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
        self._link: Link | None = None
        self._one_at_a_time = asyncio.Lock()

    async def row(self, query: str, arguments: tuple[Argument, ...] = (), *, timeout: float = 2.0) -> Row:
        """The first row. Raises NotRunning when there is nothing to connect to, QueryFailed otherwise."""
        rows = await self.rows(query, arguments, timeout=timeout)
        if not rows:
            raise QueryFailed("no row came back")
        return rows[0]

    async def rows(self, query: str, arguments: tuple[Argument, ...] = (), *, timeout: float = 2.0) -> list[Row]:
        """All rows. The same errors; after any the next call connects anew."""
        try:
            async with asyncio.timeout(timeout), self._one_at_a_time:
                if self._link is None or self._link.ended:
                    self._link = await _connect(self.where, _SESSION)
                return await self._link.ask(query, arguments)
        except TimeoutError as error:
            raise QueryFailed(f"no answer within {timeout} s") from error

    def drop(self) -> None:
        """Forget the connection without asking the server."""
        link, self._link = self._link, None
        if link is not None:
            link.drop()

    async def close(self) -> None:
        """Close the connection."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()


@asynccontextmanager
async def short_session(
    socket_directory: str, port: int, user: str, *, statement_timeout_s: float, dbname: str = "postgres"
) -> AsyncIterator[Link]:
    """A connection of its own for something that takes longer. The same errors as Session."""
    where = {"host": socket_directory, "port": str(port), "user": user, "dbname": dbname}
    link = await _connect(where, {**_SESSION, "statement_timeout": str(int(statement_timeout_s * 1000))})
    try:
        yield link
    finally:
        await link.close()


async def local_timeline(session: Session) -> int:
    """The timeline that the local server is on, as IDENTIFY_SYSTEM tells it."""
    link = await _connect(session.where, {"replication": "true"})
    try:
        answer = await link.ask("IDENTIFY_SYSTEM")
    finally:
        await link.close()
    if not answer:
        raise QueryFailed("no answer to IDENTIFY_SYSTEM")
    return int(answer[0][1])


async def _connect(where: Mapping[str, str], settings: Mapping[str, str]) -> Link:
    parameters = {
        "user": where["user"],
        "database": where["dbname"],
        "application_name": "matriarch-agent",
        "client_encoding": "UTF8",
        **settings,
    }
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            return await Link.open(f"{where['host']}/.s.PGSQL.{where['port']}", parameters)
    except TimeoutError as error:
        raise NotRunning(f"no session within {CONNECT_WITHIN_S} s") from error
