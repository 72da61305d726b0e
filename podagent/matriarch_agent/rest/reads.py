"""Requests that change nothing (after Patroni). Each is a view of the agent at this moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from matriarch.ha.documents import (
    Refusal,
    cluster_document,
    config_text,
    failsafe_document,
    health,
    history_document,
    liveness,
    patroni_document,
    readiness,
)
from matriarch.words.errors import MatriarchError
from matriarch_agent.rest import replies
from matriarch_agent.rest.face import Face
from matriarch_agent.rest.message import Request, Response

if TYPE_CHECKING:
    from matriarch_agent.rest.exposition import Exposition

MAX_DECISIONS = 1000
FRESH_S = 0.5
"""How long `GET /patroni` waits for a fresh look at Postgres, in seconds. Less than peers wait for the answer: a
Postgres that hangs must not make its member look unreachable."""


class Reads:
    """The handlers of GET, HEAD and OPTIONS."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._exposition: Exposition | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def health(self, request: Request) -> Response:
        """A health check by GET: the status, and the member's document as body."""
        facts = self._face.facts()
        status = health(request.path, request.query, facts)
        return replies.document(status, patroni_document(facts))

    async def bare_health(self, request: Request) -> Response:
        """A health check by HEAD or OPTIONS: the status and nothing else."""
        return replies.bare(health(request.path, request.query, self._face.facts()))

    async def liveness(self, request: Request) -> Response:
        """Whether the loop turns."""
        return replies.bare(liveness(self._face.facts()))

    async def readiness(self, request: Request) -> Response:
        """Whether traffic may come."""
        return replies.bare(readiness(request.query, self._face.facts()))

    async def patroni(self, request: Request) -> Response:
        """This member, looked at afresh."""
        asked_at = self._face.facts().now
        await self._freshen()
        return replies.document(200, patroni_document(self._face.facts(), asked_at))

    async def _freshen(self) -> None:
        """Wait for the look that is under way, which may have begun too early to tell of this moment, and for one more;
        go on without when that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FRESH_S):
                if self._refreshing is not None and not self._refreshing.done():
                    await asyncio.wait({self._refreshing})
                if self._refreshing is None or self._refreshing.done():
                    self._refreshing = asyncio.create_task(self._refresh(), name="rest-refresh")
                await asyncio.wait({self._refreshing})

    async def _refresh(self) -> None:
        with suppress(MatriarchError):
            await self._face.refresh()

    async def close(self) -> None:
        """Break off a look that is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})

    async def cluster(self, request: Request) -> Response:
        """All members."""
        return replies.document(200, cluster_document(self._face.facts()))

    async def config(self, request: Request) -> Response:
        """The cluster settings, byte for byte."""
        text = config_text(self._face.settings_source().text)
        if text is None:
            return replies.page(Refusal(502, "There are no cluster settings"))
        return replies.raw_json(200, text)

    async def history(self, request: Request) -> Response:
        """The past timelines."""
        return replies.document(200, history_document(self._face.facts()))

    async def failsafe(self, request: Request) -> Response:
        """Who is asked when the API server is unreachable."""
        topology = failsafe_document(self._face.facts())
        if topology is None:
            return replies.page(Refusal(502, "There is no failsafe topology"))
        return replies.document(200, topology)

    async def metrics(self, request: Request) -> Response:
        """Metrics."""
        if self._exposition is None:
            # Only a member that is scraped pays for the metrics' library.
            from matriarch_agent.rest.exposition import Exposition

            self._exposition = Exposition(self._face)
        return replies.plain(self._exposition.text())

    async def decisions(self, request: Request) -> Response:
        """The last decisions with their reasons, oldest first; `limit` of them at most."""
        wanted = request.query.get("limit", "")
        limit = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else MAX_DECISIONS
        kept = list(self._face.decisions())
        return replies.document(200, kept[max(0, len(kept) - limit) :])
