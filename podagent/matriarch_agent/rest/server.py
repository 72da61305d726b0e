"""The agent's REST API: a thin HTTP face, compatible with Patroni's."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable

from matriarch.ha.documents import Refusal
from matriarch.ha.documents.access import Credentials
from matriarch_agent.ports import Peers
from matriarch_agent.rest import replies
from matriarch_agent.rest.configuration import RestConfiguration
from matriarch_agent.rest.face import Face
from matriarch_agent.rest.gate import Gate
from matriarch_agent.rest.leadership import Leadership
from matriarch_agent.rest.listener import BACKLOG, Listener
from matriarch_agent.rest.message import Request, Response
from matriarch_agent.rest.reads import Reads
from matriarch_agent.rest.writes import Writes

Handler = Callable[[Request], Awaitable[Response]]
PLAIN = RestConfiguration()


class RestServer:
    """Serves until it is closed. `port` 0 takes a free one; `port` tells it after `start`."""

    def __init__(
        self, face: Face, peers: Peers, host: str, port: int, configuration: RestConfiguration = PLAIN
    ) -> None:
        self._reads = Reads(face)
        self._routes = _routes(self._reads, Writes(face, protected=configuration.protected), Leadership(face, peers))
        self._gate = Gate(face, configuration)
        self._listener = Listener(self._answer, configuration.headers)
        self._host = host
        self.port = port
        self._listens = False

    async def start(self, tls: ssl.SSLContext | None = None, credentials: Credentials | None = None) -> None:
        """Listen, or, when it listens already, go on with another certificate and other credentials.

        The socket stays the same and is never closed in between: to a member whose connection is refused, this agent
        is dead. Raises OSError when the address cannot be had.
        """
        await self._gate.renew(credentials)
        if self._listens:
            self._listener.renew(tls)
            return
        opened = _listening(self._host, self.port)
        self.port = opened.getsockname()[1]
        await self._listener.listen(opened, tls)
        self._listens = True

    async def renew_names(self, credentials: Credentials | None) -> None:
        """Look the allowlist's host names up again."""
        await self._gate.renew(credentials)

    async def close(self) -> None:
        """Stop listening and drop what is under way."""
        await self._listener.close()
        self._listens = False
        await self._reads.close()

    async def _answer(self, request: Request) -> Response:
        """By method and first path segment; what nobody claims is a health check, or not a method of ours (501)."""
        if request.method in ("HEAD", "OPTIONS"):
            return await self._reads.bare_health(request)
        segment = request.path.strip("/").split("/", 1)[0]
        handler = self._routes.get((request.method, segment))
        if handler is None:
            if request.method == "GET":
                return await self._reads.health(request)
            return replies.page(Refusal(501, "Unsupported method"))
        return self._gate.answer(request, segment) or await handler(request)


class ProbeServer:
    """`/liveness` and `/readiness` alone, over plain HTTP, for a kubelet that has no certificate to show."""

    def __init__(self, face: Face, host: str, port: int) -> None:
        self._reads = Reads(face)
        self._host, self.port = host, port
        self._listener = Listener(self._answer)

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        listening = _listening(self._host, self.port)
        self.port = listening.getsockname()[1]
        await self._listener.listen(listening)

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    async def _answer(self, request: Request) -> Response:
        handlers = {"/liveness": self._reads.liveness, "/readiness": self._reads.readiness}
        handler = handlers.get(request.path) if request.method == "GET" else None
        return await handler(request) if handler is not None else replies.bare(404)


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _routes(reads: Reads, writes: Writes, leadership: Leadership) -> dict[tuple[str, str], Handler]:
    return {
        ("GET", "liveness"): reads.liveness,
        ("GET", "readiness"): reads.readiness,
        ("GET", "patroni"): reads.patroni,
        ("GET", "cluster"): reads.cluster,
        ("GET", "config"): reads.config,
        ("GET", "history"): reads.history,
        ("GET", "failsafe"): reads.failsafe,
        ("GET", "metrics"): reads.metrics,
        ("GET", "decisions"): reads.decisions,
        ("PATCH", "config"): writes.patch_config,
        ("PUT", "config"): writes.put_config,
        ("POST", "switchover"): leadership.switchover,
        ("POST", "failover"): leadership.failover,
        ("DELETE", "switchover"): leadership.delete_switchover,
        ("POST", "restart"): writes.restart,
        ("DELETE", "restart"): writes.delete_restart,
        ("POST", "reload"): writes.reload,
        ("POST", "reinitialize"): writes.reinitialize,
        ("POST", "failsafe"): writes.failsafe,
    }
