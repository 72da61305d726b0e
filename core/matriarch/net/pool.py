"""Connections to one server that are kept for the next request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from matriarch.net.http import HttpConnection
from matriarch.net.origin import Origin

KEPT_S = 15.0
"""Seconds that an idle connection is kept: longer than a loop, and shorter than any server's own limit."""


class ConnectionPool:
    """At most `limit` connections at a time; who comes later waits. `dress` is shown every new one.

    The one that was used last is used next. A request is never repeated on another connection: one that the server
    has let go by now is noticed before a request is put on it, or else breaks it.
    """

    def __init__(
        self,
        origin: Origin,
        tls: ssl.SSLContext | None,
        tls_name: str | None,
        *,
        limit: int,
        dress: Callable[[HttpConnection], None],
    ) -> None:
        self._origin, self._tls, self._tls_name = origin, tls, tls_name
        self._dress = dress
        self._places = asyncio.Semaphore(limit)
        self._kept: dict[HttpConnection, asyncio.TimerHandle] = {}
        self._busy: set[HttpConnection] = set()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[HttpConnection]:
        """One that is free, or a new one. Whatever happens in the block, it is not used again half-way through an
        answer. Raises Broken."""
        async with self._places:
            one = self._free() or await self.open()
            self._busy.add(one)
            try:
                yield one
            finally:
                self._busy.discard(one)
                self._keep(one)

    async def open(self) -> HttpConnection:
        """A new connection that is the caller's alone. Raises Broken."""
        one = await HttpConnection.open(self._origin, self._tls, self._tls_name)
        self._dress(one)
        return one

    async def close(self) -> None:
        """Let all of them go, those with a request under way too. A later call opens new ones."""
        for one, life in self._kept.items():
            life.cancel()
            one.abort()
        self._kept.clear()
        for one in self._busy:
            one.abort()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn

    def _free(self) -> HttpConnection | None:
        while self._kept:
            one, life = self._kept.popitem()
            life.cancel()
            if one.renew():
                return one
            one.abort()
        return None

    def _keep(self, one: HttpConnection) -> None:
        if not one.renew():
            one.abort()
            return
        self._kept[one] = asyncio.get_running_loop().call_later(KEPT_S, self._expire, one)

    def _expire(self, one: HttpConnection) -> None:
        if self._kept.pop(one, None) is not None:
            one.abort()
