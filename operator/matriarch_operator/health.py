"""What the kubelet and Prometheus ask: `/healthz` (alive), `/readyz` (started), `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from matriarch_operator.metrics import REGISTRY

STUCK_S = 180.0
"""Seconds without any progress after which a restart is the better choice: it costs a second and loses nothing."""


class Health:
    """`stalls` names what is stuck and for how many seconds, as gathered by the application."""

    def __init__(self, stalls: Callable[[], dict[str, float]], refresh: Callable[[], None]) -> None:
        self._stalls = stalls
        self._refresh = refresh
        self.started = False

    def application(self) -> web.Application:
        """The web application."""
        found = web.Application()
        found.router.add_get("/healthz", self._healthz)
        found.router.add_get("/readyz", self._readyz)
        found.router.add_get("/metrics", self._metrics)
        return found

    async def serve(self, port: int, host: str | None = None) -> web.AppRunner:
        """Listens on all addresses, or on `host`; port 0 takes any. Clean up with `runner.cleanup()`."""
        runner = web.AppRunner(self.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host=host, port=port).start()
        return runner

    async def _healthz(self, _: web.Request) -> web.Response:
        stuck = {name: seconds for name, seconds in self._stalls().items() if seconds > STUCK_S}
        if stuck:
            return web.json_response({"stuck": stuck}, status=503)
        return web.json_response({"ok": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.json_response({"started": self.started}, status=200 if self.started else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
