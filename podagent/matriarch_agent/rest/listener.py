"""An HTTP server that idle or slow clients cannot fill: the agent needs its file descriptors for the API server."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from matriarch.ha.documents import Refusal
from matriarch_agent.rest import replies
from matriarch_agent.rest.exchange import Exchange, Malformed
from matriarch_agent.rest.message import Request, Response

HEAD_TIMEOUT_S = 5.0
"""How long a client may take from its connect to the end of its request's head, in seconds."""
ANSWER_TIMEOUT_S = 5.0
"""How long a client may take to accept its answer, in seconds."""
MAX_CONNECTIONS = 200
"""Connections at a time; further ones are dropped. Members, load balancers and probes need a handful."""
LINGER_S = 0.2
"""How long what a client still sends is read after it was answered, in seconds."""
BACKLOG = 128
_CLOSE_S = 0.5
"""How long requests under way may take to end when the listener closes, in seconds."""
_BUFFER = 64 * 1024

Answer = Callable[[Request], Awaitable[Response]]


class Listener:
    """Answers one request for each connection, with limits on connections and on the time that each may take.
    `headers` go with every answer."""

    def __init__(self, answer: Answer, headers: Mapping[str, str] | None = None) -> None:
        self._answer = answer
        self._headers = headers or {}
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def listen(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on this socket, which becomes the listener's own, and no more on a former one.
        What is under way on connections of before goes on. Raises OSError."""
        former, self._server = (
            self._server,
            await asyncio.get_running_loop().create_server(
                self._protocol,
                sock=listening,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=HEAD_TIMEOUT_S if tls is not None else None,
                ssl_shutdown_timeout=LINGER_S if tls is not None else None,
            ),
        )
        if former is not None:
            former.close()

    async def close(self) -> None:
        """Stop listening and drop what is under way."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._serving:
            await asyncio.wait(self._serving, timeout=_CLOSE_S)
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_BUFFER), self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="rest-connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):  # of which TimeoutError is one: who is too slow gets no answer
                await self._exchange(Exchange(reader, writer))
                writer.close()
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _exchange(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                request = await exchange.request()
            if request is None:
                return
            response = await self._answered(request)
        except Malformed as problem:
            response = replies.page(Refusal(400, str(problem)))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await exchange.answer(response, self._headers)
        if exchange.unread:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await exchange.drain()

    async def _answered(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Exception:
            logging.getLogger(__name__).exception("no answer to %s %s", request.method, request.path)
            return replies.page(Refusal(500, "The request could not be answered"))
