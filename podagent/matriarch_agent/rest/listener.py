"""An HTTP server that idle or slow clients cannot fill: the agent needs its file descriptors for the API server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

HEAD_TIMEOUT_S = 5.0
"""How long a client may take from its connect to the end of its request's head, in seconds."""
MAX_CONNECTIONS = 200
"""Connections at a time; further ones are dropped. Members, load balancers and probes need a handful."""
LINGER_S = 0.2
"""How long what a client still sends is read after it was answered, in seconds."""

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener(web.Server):
    """aiohttp's server with a limit on connections and on the time that each has to ask something.

    Every connection serves one request only, so its time is taken once.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(self._punctual, access_log=None, lingering_time=LINGER_S)
        self._answer = answer
        self._waits: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        self._open = 0

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Start the time, or hang up when there are too many."""
        super().connection_made(handler, transport)
        self._open += 1
        patience = HEAD_TIMEOUT_S if self._open <= MAX_CONNECTIONS else 0.0
        self._waits[handler] = asyncio.get_running_loop().call_later(patience, transport.abort)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget it."""
        self._open -= 1
        self._stop_waiting(handler)
        super().connection_lost(handler, exc)

    async def _punctual(self, request: web.BaseRequest) -> web.StreamResponse:
        self._stop_waiting(request.protocol)
        return await self._answer(request)

    def _stop_waiting(self, handler: web.RequestHandler) -> None:
        wait = self._waits.pop(handler, None)
        if wait is not None:
            wait.cancel()
