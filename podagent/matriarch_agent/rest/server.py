"""The agent's REST API: a thin HTTP face, compatible with Patroni's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from matriarch.ha.documents import Refusal
from matriarch_agent.ports import Peers
from matriarch_agent.rest import replies
from matriarch_agent.rest.face import Face
from matriarch_agent.rest.leadership import Leadership
from matriarch_agent.rest.listener import Listener
from matriarch_agent.rest.reads import Reads
from matriarch_agent.rest.writes import Writes

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


class RestServer:
    """Serves until it is closed. `port` 0 takes a free one; `port` tells it after `start`."""

    def __init__(self, face: Face, peers: Peers, host: str, port: int) -> None:
        self._reads = Reads(face)
        self._routes = _routes(self._reads, Writes(face), Leadership(face, peers))
        self._host = host
        self.port = port
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        self._runner = web.ServerRunner(Listener(self._dispatch), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port, backlog=128, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and drop what is under way."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._reads.close()

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        """By method and first path segment; what nobody claims is a health check, or not a method of ours (501)."""
        if request.method in ("HEAD", "OPTIONS"):
            return await self._reads.bare_health(request)
        segment = request.path.strip("/").split("/", 1)[0]
        handler = self._routes.get((request.method, segment))
        if handler is not None:
            return await handler(request)
        if request.method == "GET":
            return await self._reads.health(request)
        return replies.page(Refusal(501, "Unsupported method"))


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
