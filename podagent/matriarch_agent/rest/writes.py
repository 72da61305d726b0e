"""Requests that change something (patroni.md §2.9 to §2.11): check, pass on, tell what became of it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from matriarch.ha.documents import (
    FailoverRequest,
    Refusal,
    candidates_for,
    check_answers,
    check_settings,
    decode_object,
    encode,
    merge_config,
    outcome,
    read_failover_request,
    read_reinitialize_request,
    read_restart_request,
    timed_out,
)
from matriarch.ha.documents.failover import Action
from matriarch.ha.documents.wire import lsn_of
from matriarch.words.errors import ConflictError, MatriarchError
from matriarch_agent.ports import FailsafeClaim, Peers
from matriarch_agent.rest import replies
from matriarch_agent.rest.face import Face

POLL_S = 0.2
"""Between two looks for the outcome of a switchover, in seconds."""
SETTLE_S = 0.6
"""How long an emptied request with an unchanged leader must last before it counts as refused, in seconds."""
ASK_TIMEOUT_S = 2.0
"""For a candidate's answer, in seconds (patroni.md §2.5)."""


class Writes:
    """The handlers of PATCH, PUT, POST and DELETE."""

    def __init__(self, face: Face, peers: Peers) -> None:
        self._face = face
        self._peers = peers

    async def patch_config(self, request: web.BaseRequest) -> web.Response:
        """Merge into the cluster settings, by compare-and-swap."""
        patch = await replies.read_object(request)
        if isinstance(patch, Refusal):
            return replies.page(patch)
        source = self._face.settings_source()
        current = decode_object(source.text)
        if current is None:
            return replies.page(Refusal(503, "There are no cluster settings to change"))
        merged = merge_config(current, patch)
        refusal = check_settings(merged)
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

    async def put_config(self, request: web.BaseRequest) -> web.Response:
        """Replace the cluster settings, whatever they are."""
        wanted = await replies.read_object(request)
        if isinstance(wanted, Refusal):
            return replies.page(wanted)
        refusal = check_settings(wanted)
        if refusal is not None:
            return replies.page(refusal)
        if wanted != decode_object(self._face.settings_source().text):
            try:
                await self._face.write_settings(encode(wanted), None)
            except MatriarchError:
                return replies.page(Refusal(502, "The cluster settings could not be written"))
        return replies.document(200, wanted)

    async def switchover(self, request: web.BaseRequest) -> web.Response:
        """Ask the leader to hand over, now or at a time."""
        return await self._change_leader(request, "switchover")

    async def failover(self, request: web.BaseRequest) -> web.Response:
        """Ask that a certain member takes over."""
        return await self._change_leader(request, "failover")

    async def _change_leader(self, request: web.BaseRequest, action: Action) -> web.Response:
        body = await replies.read_object(request)
        if isinstance(body, Refusal):
            return replies.page(body)
        asked = read_failover_request(action, body, self._face.facts())
        if isinstance(asked, Refusal):
            return replies.text(asked.status, asked.text)
        if asked.scheduled_at is None:
            refusal = await self._nobody_fit(asked)
            if refusal is not None:
                return replies.text(refusal.status, refusal.text)
        view = self._face.facts().view
        before = view.lock.leader if view is not None else None
        try:
            await self._face.write_request(asked.leader, asked.candidate, asked.scheduled_at)
        except MatriarchError:
            return replies.text(503, "failed to write failover key into DCS")
        if asked.scheduled_at is not None:
            return replies.text(202, "Switchover scheduled")
        return await self._await_outcome(asked, before)

    async def _nobody_fit(self, asked: FailoverRequest) -> Refusal | None:
        members = candidates_for(asked, self._face.facts())
        if isinstance(members, Refusal):
            return members
        questions = [self._peers.ask(m.name, m.api_url or "", timeout=ASK_TIMEOUT_S) for m in members]
        return check_answers(asked, await asyncio.gather(*questions))

    async def _await_outcome(self, asked: FailoverRequest, before: str | None) -> web.Response:
        """Look until the lock has moved, the request was refused, or twenty seconds (two loops) are over."""
        facts = self._face.facts()
        written, give_up = facts.now, facts.now + 2 * max(10.0, facts.settings.loop_wait)
        refused_since: float | None = None
        while facts.now < give_up:
            result = None
            if facts.view is not None and facts.view.now > written:
                result = outcome(asked, before, facts.view)
            if result is None:
                refused_since = None
            elif result.status == 200:
                return replies.text(result.status, result.text)
            else:
                refused_since = facts.now if refused_since is None else refused_since
                if facts.now - refused_since >= SETTLE_S:
                    return replies.text(result.status, result.text)
            await asyncio.sleep(POLL_S)
            facts = self._face.facts()
        late = timed_out(asked)
        return replies.text(late.status, late.text)

    async def delete_switchover(self, request: web.BaseRequest) -> web.Response:
        """Take a scheduled switchover back."""
        view = self._face.facts().view
        if view is None or not view.request.pending or view.request.scheduled_at is None:
            return replies.text(404, "no switchover is scheduled")
        try:
            await self._face.write_request(None, None, None, view.request.version)
        except ConflictError:
            return replies.text(409, "the scheduled switchover has just changed")
        except MatriarchError:
            return replies.text(503, "failed to write failover key into DCS")
        return replies.text(200, "scheduled switchover deleted")

    async def restart(self, request: web.BaseRequest) -> web.Response:
        """Restart Postgres now; answers when it is done."""
        body = await replies.read_object(request, optional=True)
        if isinstance(body, Refusal):
            return replies.page(body)
        asked = read_restart_request(body, self._face.facts())
        if isinstance(asked, Refusal):
            return replies.text(asked.status, asked.text)
        try:
            why_not = await self._face.restart(asked.timeout)
        except MatriarchError:
            return replies.text(503, "restart failed")
        return replies.text(503, why_not) if why_not else replies.text(200, "restarted successfully")

    async def delete_restart(self, request: web.BaseRequest) -> web.Response:
        """Take a scheduled restart back: there never is one."""
        return replies.text(404, "no restarts are scheduled")

    async def reload(self, request: web.BaseRequest) -> web.Response:
        """Apply the configuration again."""
        self._face.reload()
        return replies.text(202, "reload scheduled")

    async def reinitialize(self, request: web.BaseRequest) -> web.Response:
        """Copy this member's data anew."""
        body = await replies.read_object(request, optional=True)
        if isinstance(body, Refusal):
            return replies.page(body)
        asked = read_reinitialize_request(body, self._face.facts())
        if isinstance(asked, Refusal):
            return replies.text(asked.status, asked.text)
        self._face.reinitialize(force=asked.force, from_leader=asked.from_leader)
        return replies.text(200, "reinitialize started")

    async def failsafe(self, request: web.BaseRequest) -> web.Response:
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
    )
