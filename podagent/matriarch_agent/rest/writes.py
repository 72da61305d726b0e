"""Requests that change the settings or this member (after Patroni): check, pass on, tell what became of it."""

from __future__ import annotations

import math
from typing import Any

from matriarch.ha.documents import (
    Refusal,
    check_change,
    decode_object,
    encode,
    merge_config,
    read_reinitialize_request,
    read_restart_request,
)
from matriarch.ha.documents.wire import lsn_of, timeline_of
from matriarch.words.errors import ConflictError, MatriarchError
from matriarch_agent.ports import FailsafeClaim
from matriarch_agent.rest import replies
from matriarch_agent.rest.face import Face
from matriarch_agent.rest.message import Request, Response

LONGEST_CLAIM_S = 86400.0
"""A failsafe claim that asks for longer asks for more than anybody grants."""

PUTS = 5
"""Attempts to replace settings that others change at the same time."""


class Writes:
    """The handlers of what changes settings or this member."""

    def __init__(self, face: Face, *, protected: bool = False) -> None:
        self._face, self._protected = face, protected

    async def patch_config(self, request: Request) -> Response:
        """Merge into the cluster settings, by compare-and-swap."""
        patch = await replies.read_object(request)
        if isinstance(patch, Refusal):
            return replies.page(patch)
        source = self._face.settings_source()
        current = decode_object(source.text)
        if current is None:
            return replies.page(Refusal(503, "There are no cluster settings to change"))
        merged = merge_config(current, patch)
        refusal = check_change(current, merged, protected=self._protected)
        if refusal is not None:
            return replies.page(refusal)
        if merged != current:
            try:
                await self._face.write_settings(encode(merged), source.version)
            except ConflictError:
                return replies.page(Refusal(409, "The cluster settings were changed by somebody else"))
            except MatriarchError:
                return replies.page(Refusal(503, "The cluster settings could not be written"))
        return replies.document(200, merged)

    async def put_config(self, request: Request) -> Response:
        """Replace the cluster settings, whatever they are."""
        wanted = await replies.read_object(request)
        if isinstance(wanted, Refusal):
            return replies.page(wanted)
        for _ in range(PUTS):
            source = self._face.settings_source()
            current = decode_object(source.text)
            refusal = check_change(current or {}, wanted, protected=self._protected)
            if refusal is not None:
                return replies.page(refusal)
            try:
                if wanted != current:
                    await self._face.write_settings(encode(wanted), source.version)
            except ConflictError:
                # What it was judged by is not there any more.
                continue
            except MatriarchError:
                break
            return replies.document(200, wanted)
        return replies.page(Refusal(502, "The cluster settings could not be written"))

    async def restart(self, request: Request) -> Response:
        """Restart Postgres now and answer when it is done, or at a time."""
        body = await replies.read_object(request, optional=True)
        if isinstance(body, Refusal):
            return replies.page(body)
        asked = read_restart_request(body, self._face.facts())
        if isinstance(asked, Refusal):
            return replies.text(asked.status, asked.text)
        if asked.scheduled is not None:
            if self._face.schedule_restart(asked.scheduled):
                return replies.text(202, "Restart scheduled")
            return replies.text(409, "Another restart is already scheduled")
        try:
            why_not = await self._face.restart(asked.timeout)
        except MatriarchError:
            return replies.text(503, "restart failed")
        return replies.text(503, why_not) if why_not else replies.text(200, "restarted successfully")

    async def delete_restart(self, request: Request) -> Response:
        """Take a scheduled restart back."""
        if self._face.schedule_restart(None):
            return replies.text(200, "scheduled restart deleted")
        return replies.text(404, "no restarts are scheduled")

    async def reload(self, request: Request) -> Response:
        """Apply the configuration again."""
        self._face.reload()
        return replies.text(202, "reload scheduled")

    async def reinitialize(self, request: Request) -> Response:
        """Copy this member's data anew."""
        body = await replies.read_object(request, optional=True)
        if isinstance(body, Refusal):
            return replies.page(body)
        asked = read_reinitialize_request(body, self._face.facts())
        if isinstance(asked, Refusal):
            return replies.text(asked.status, asked.text)
        self._face.reinitialize(force=asked.force, from_leader=asked.from_leader)
        return replies.text(200, "reinitialize started")

    async def failsafe(self, request: Request) -> Response:
        """A primary that cannot reach the API server asks for leave to go on."""
        body = await replies.read_object(request)
        if isinstance(body, Refusal):
            return replies.page(body)
        claim = _claim(body)
        if claim is None:
            return replies.page(Refusal(400, "name, api_url and conn_url must be strings"))
        verdict = await self._face.accept_failsafe(claim)
        if verdict.status == 502:
            return replies.page(Refusal(502, verdict.text))
        headers = {"lsn": str(verdict.lsn)} if verdict.lsn is not None else None
        return replies.text(verdict.status, verdict.text, headers)


def _claim(body: dict[str, Any]) -> FailsafeClaim | None:
    words = [body.get(key) for key in ("name", "api_url", "conn_url")]
    if not all(isinstance(word, str) and 0 < len(word) <= 512 for word in words):
        return None
    slots = body.get("slots")
    positions = {name: lsn_of(slots, name) for name in slots} if isinstance(slots, dict) else {}
    name, api_url, conn_url = (str(word) for word in words)
    return FailsafeClaim(
        name=name,
        api_url=api_url,
        conn_url=conn_url,
        slots={slot: lsn for slot, lsn in positions.items() if lsn is not None},
        ttl=_seconds(body.get("ttl")),
        timeline=timeline_of(body),
    )


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0.0
    return float(value) if value <= LONGEST_CLAIM_S else math.inf
