"""Keeps the REST API served: with what the mounted Secrets hold, and again when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from matriarch.words.errors import Invalid
from matriarch_agent.peers import HttpPeers
from matriarch_agent.rest.configuration import RestConfiguration
from matriarch_agent.rest.material import Material, digest, read_material
from matriarch_agent.rest.server import RestServer

LOOK_S = 5.0
"""Between two looks at the mounted Secrets, in seconds. The kubelet itself takes up to a minute to bring a change."""
NAMES_S = 60.0
"""Between two look-ups of the allowlist's host names, in seconds."""

Log = Callable[..., Any]


class RestService:
    """Starts the server and renews it, and the peers' credentials with it.

    Secrets that cannot be used never end the agent, since its Postgres would end with it: without an older material
    the API is not served at all, never without protection; with one, that is kept. `complain` tells a person.
    """

    def __init__(
        self,
        server: RestServer,
        peers: HttpPeers,
        configuration: RestConfiguration,
        complain: Callable[[str], None],
        log: Log,
    ) -> None:
        self._server, self._peers, self._configuration = server, peers, configuration
        self._complain, self._log = complain, log
        self._material: Material | None = None
        self._tried: bytes | None = None
        self._names_at = 0.0

    async def look(self) -> None:
        """Serve with the present Secrets, when they are others than before. Raises OSError when nobody can listen."""
        if self._configuration.allowlist and self._material is not None and self._now() - self._names_at >= NAMES_S:
            self._names_at = self._now()
            await self._server.renew_names(self._material.credentials)
        found = digest(self._configuration)
        if found == self._tried:
            return
        self._tried = found
        try:
            material = read_material(self._configuration)
        except Invalid as error:
            goes_on = "the former ones stay in use" if self._material is not None else "the REST API is not served"
            self._complain(f"{error}; {goes_on}")
            return
        self._tried = material.digest
        self._names_at = self._now()
        await self._server.start(material.server, material.credentials)
        self._peers.identify(material.client, material.credentials)
        self._material = material
        self._log("REST API served", scheme=self._configuration.scheme, port=self._server.port)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except OSError as error:
                self._tried = None
                self._complain(f"the REST API cannot listen: {error}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
