"""An HTTP server that idle or slow clients cannot fill: the agent needs its file descriptors for the API server."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial

from matriarch.ha.documents import Refusal
from matriarch_agent.rest import replies
from matriarch_agent.rest.exchange import Exchange, Malformed
from matriarch_agent.rest.message import Request, Response

HEAD_TIMEOUT_S = 5.0
"""How long a client may take from its connect to the end of its request's head, in seconds."""
HANDSHAKE_TIMEOUT_S = 2.0
"""How long a client may take for the TLS handshake, in seconds."""
ANSWER_TIMEOUT_S = 5.0
"""How long a client may take to accept its answer, in seconds."""
MAX_CONNECTIONS = 200
"""Connections at a time, those in the TLS handshake included; further ones are dropped. Members, load balancers and
probes need a handful."""
LINGER_S = 0.2
"""How long what a client still sends is read after it was answered, in seconds."""
BACKLOG = 128
_CLOSE_S = 0.5
"""How long requests under way may take to end when the listener closes, in seconds."""
_BUFFER = 64 * 1024

Answer = Callable[[Request], Awaitable[Response]]


class _Accepted(asyncio.Protocol):
    """A connection before its handshake: what the client sends waits for it."""

    def __init__(self, begin: Callable[[asyncio.Transport], None]) -> None:
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it on."""
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._begin(transport)


class _Secured(asyncio.StreamReaderProtocol):
    """A connection after its handshake. With TLS there is no half that stays open, and to say so would be logged."""

    def eof_received(self) -> bool:
        """Nothing more comes."""
        super().eof_received()
        return False


class Listener:
    """Answers one request for each connection, with limits on connections and on the time that each may take.
    `headers` go with every answer."""

    def __init__(self, answer: Answer, headers: Mapping[str, str] | None = None) -> None:
        self._answer = answer
        self._headers = headers or {}
        self._server: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def listen(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on this socket, which becomes the listener's own. Raises OSError."""
        self._tls = tls
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=listening, backlog=BACKLOG)

    def renew(self, tls: ssl.SSLContext | None) -> None:
        """Show another certificate from the next connection on; those of before go on."""
        self._tls = tls

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

    def _protocol(self) -> asyncio.BaseProtocol:
        if self._tls is not None:
            return _Accepted(partial(self._accepted, self._tls))
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_BUFFER), self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin(writer.transport, self._serve_plainly(reader, writer))

    def _accepted(self, tls: ssl.SSLContext, transport: asyncio.Transport) -> None:
        self._begin(transport, self._shake_hands(transport, tls))

    def _begin(self, transport: asyncio.WriteTransport, work: Coroutine[None, None, None]) -> None:
        if len(self._serving) >= MAX_CONNECTIONS:
            work.close()
            transport.abort()
            return
        task = asyncio.get_running_loop().create_task(work, name="rest-connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _shake_hands(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """Here and not in asyncio's server, where a client in the handshake would count for nothing."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=_BUFFER)
        protocol = _Secured(reader)
        try:
            with suppress(OSError):  # of which each failure of TLS is one
                secured = await loop.start_tls(
                    transport,
                    protocol,
                    tls,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                    ssl_shutdown_timeout=LINGER_S,
                )
                if secured is not None:
                    protocol.connection_made(secured)
                    await self._serve(reader, asyncio.StreamWriter(secured, protocol, reader, loop))
        finally:
            transport.abort()

    async def _serve_plainly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # of which TimeoutError is one: who is too slow gets no answer
            await self._exchange(Exchange(reader, writer))
            writer.close()
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await writer.wait_closed()

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
