"""The `Kube` port over HTTP: one request per call, no hidden repetition, one time budget for everything a call does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from matriarch.kube.answers import LineBuffer, error_of, read_event, read_object
from matriarch.kube.api import JsonPatch, Kind, Listing, Object, PatchType, Propagation, WatchEvent
from matriarch.kube.auth import Connection
from matriarch.kube.paths import collection_path, object_path
from matriarch.net.http import Broken, Head, HttpConnection, Unsayable
from matriarch.net.origin import Origin
from matriarch.net.pool import ConnectionPool
from matriarch.words.errors import DeadlineSpent, Gone, Invalid, MatriarchError, TransientError, Unavailable

_PAGE = 500
_CONNECTIONS = 32
_WATCH_START_S = 10.0
_LONGEST_REFUSAL = 64 * 1024
_CONTENT_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}
_APPLY_TYPE = "application/apply-patch+yaml"  # JSON is YAML


class HttpKube:
    """A client for one API server; use it as `async with HttpKube(connection) as kube`.

    `silence_s` is how long a peer may leave our bytes unacknowledged before the kernel gives the connection up; a
    lock's client sets it to the lock's ttl (after Patroni). Calls share at most `connections` connections and wait
    for a free one within their own timeout; watches have connections of their own. Traffic that must never queue
    behind another's gets a client of its own.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str = "matriarch",
        connections: int = _CONNECTIONS,
        silence_s: float = 20.0,
    ) -> None:
        self._connection = connection
        self._user_agent = user_agent
        self._silence_s = silence_s
        try:
            self._origin = Origin.of(connection.server)
        except ValueError as error:
            raise Invalid(f"the API server's address {connection.server!r}: {error}") from None
        self._pool = ConnectionPool(
            self._origin, connection.tls, connection.tls_name, limit=connections, dress=self._notice_a_dead_peer
        )
        self._watches: set[HttpConnection] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. A later call opens new ones."""
        for connection in self._watches:
            connection.abort()
        await self._pool.close()

    async def get(self, kind: Kind, namespace: str, name: str, *, timeout: float = 10.0) -> Object:
        """See `Kube.get`."""
        return await self._request("GET", object_path(kind, namespace, name), timeout=timeout)

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "", timeout: float = 30.0) -> Listing:
        """See `Kube.list`. Read in pages; when the pages' snapshot expires in between, once more as a whole."""
        path, query = collection_path(kind, namespace), {"labelSelector": labels} if labels else {}
        items: list[Object] = []
        page: dict[str, str] = {"limit": str(_PAGE)}
        async with _translated(f"GET {path}", timeout):
            while True:
                try:
                    answer = await self._request("GET", path, query={**query, **page}, timeout=timeout)
                except Gone:
                    if "continue" not in page:
                        raise
                    items, page = [], {}
                    continue
                metadata = answer.get("metadata") or {}
                items += answer.get("items") or []
                if not metadata.get("continue"):
                    break
                page = {"limit": str(_PAGE), "continue": metadata["continue"]}
        typed = ({"apiVersion": kind.group_version, "kind": kind.name, **item} for item in items)
        return Listing(tuple(typed), str(metadata.get("resourceVersion", "")))

    async def watch(
        self, kind: Kind, namespace: str | None, *, labels: str = "", version: str, idle_timeout: float = 75.0
    ) -> AsyncGenerator[WatchEvent, None]:
        """See `Kube.watch`. Close the generator to close the connection."""
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        if labels:
            query["labelSelector"] = labels
        path = collection_path(kind, namespace)
        buffer = LineBuffer()
        async with self._stream(path, query, min(_WATCH_START_S, idle_timeout)) as stream:
            while True:
                async with _translated(f"watch {path}", idle_timeout, silence=Unavailable):
                    data = await stream.part()
                if not data:
                    return
                for line in buffer.feed(data):
                    yield read_event(line)

    async def create(self, kind: Kind, namespace: str, body: Object, *, timeout: float = 10.0) -> Object:
        """See `Kube.create`."""
        return await self._request("POST", collection_path(kind, namespace), body=_typed(kind, body), timeout=timeout)

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object | JsonPatch,
        *,
        patch_type: PatchType = "merge",
        subresource: str = "",
        timeout: float = 10.0,
    ) -> Object:
        """See `Kube.patch`."""
        path = object_path(kind, namespace, name, subresource)
        return await self._request("PATCH", path, body=body, content_type=_CONTENT_TYPES[patch_type], timeout=timeout)

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object,
        *,
        manager: str,
        force: bool = True,
        subresource: str = "",
        timeout: float = 10.0,
    ) -> Object:
        """See `Kube.apply`."""
        path = object_path(kind, namespace, name, subresource)
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        typed = _typed(kind, body)
        typed["metadata"] = {**typed.get("metadata", {}), "name": name}
        return await self._request("PATCH", path, query=query, body=typed, content_type=_APPLY_TYPE, timeout=timeout)

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        propagation: Propagation = "Background",
        preconditions: Mapping[str, str] | None = None,
        grace_period_s: int | None = None,
        timeout: float = 10.0,
    ) -> None:
        """See `Kube.delete`."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if preconditions:
            options["preconditions"] = dict(preconditions)
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        await self._request("DELETE", object_path(kind, namespace, name), body=options, timeout=timeout)

    # One request -----------------------------------------------------------------------------------------------------

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float,
    ) -> Object:
        headers = self._headers()
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body, separators=(",", ":")).encode(), content_type
        async with _translated(f"{method} {path}", timeout), self._pool.connection() as connection:
            head = await connection.ask(method, self._target(path, query), headers.items(), data)
            content = await connection.rest()
        if head.status >= 300:
            raise self._refusal(head, content)
        return read_object(content)

    @asynccontextmanager
    async def _stream(self, path: str, query: Mapping[str, str], timeout: float) -> AsyncIterator[HttpConnection]:
        """A watch that has begun, on a connection of its own."""
        connection: HttpConnection | None = None
        try:
            async with _translated(f"watch {path}", timeout):
                connection = await self._pool.open()
                self._watches.add(connection)
                head = await connection.ask("GET", self._target(path, query), self._headers().items(), None)
            if head.status >= 300:
                raise self._refusal(head, await _beginning(connection, timeout))
            yield connection
        finally:
            if connection is not None:
                self._watches.discard(connection)
                connection.abort()

    def _refusal(self, head: Head, content: bytes) -> MatriarchError:
        if head.status == 401 and self._connection.token is not None:
            self._connection.token.forget()
        return error_of(head.status, head.headers, content)

    def _notice_a_dead_peer(self, connection: HttpConnection) -> None:
        sock = connection.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", max(1, round(self._silence_s / 2))),
            ("TCP_KEEPINTVL", max(1, round(self._silence_s / 6))),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", round(self._silence_s * 1000)),
        ):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": self._user_agent}
        if self._connection.token is not None:
            headers["Authorization"] = f"Bearer {self._connection.token.current()}"
        return headers

    def _target(self, path: str, query: Mapping[str, str] | None) -> str:
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return self._origin.prefix + path + asked


@asynccontextmanager
async def _translated(
    what: str, timeout: float, *, silence: type[TransientError] = DeadlineSpent
) -> AsyncIterator[None]:
    """The one place where failures of a connection, and the end of the time for it, become our errors."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise silence(f"{what} brought nothing within {timeout} s") from None
    except Broken as error:
        raise Unavailable(f"{what}: {error}") from error
    except Unsayable as error:
        raise Invalid(f"{what}: {error}") from error


def _typed(kind: Kind, body: Object) -> Object:
    return {"apiVersion": kind.group_version, "kind": kind.name, **body}


async def _beginning(connection: HttpConnection, timeout: float) -> bytes:
    """The body of a refused watch, as far as it comes; the status code alone would do."""
    try:
        async with _translated("the reason", timeout):
            return await connection.rest(_LONGEST_REFUSAL)
    except TransientError:
        return b""
