"""Requests for another leader (after Patroni): check, write the request down, tell what became of it."""

from __future__ import annotations

import asyncio

from matriarch.ha.documents import (
    FailoverRequest,
    Refusal,
    candidates_for,
    check_answers,
    outcome,
    read_failover_request,
    timed_out,
)
from matriarch.ha.documents.failover import Action
from matriarch.words.errors import ConflictError, MatriarchError
from matriarch_agent.ports import Peers
from matriarch_agent.rest import replies
from matriarch_agent.rest.face import Face
from matriarch_agent.rest.message import Request, Response

POLL_S = 0.2
"""Between two looks for the outcome of a switchover, in seconds."""
SETTLE_S = 0.6
"""How long an emptied request with an unchanged leader must last before it counts as refused, in seconds."""
ASK_TIMEOUT_S = 2.0
"""For a candidate's answer, in seconds (after Patroni)."""


class Leadership:
    """The handlers of switchover and failover."""

    def __init__(self, face: Face, peers: Peers) -> None:
        self._face = face
        self._peers = peers

    async def switchover(self, request: Request) -> Response:
        """Ask the leader to hand over, now or at a time."""
        return await self._change_leader(request, "switchover")

    async def failover(self, request: Request) -> Response:
        """Ask that a certain member takes over."""
        return await self._change_leader(request, "failover")

    async def _change_leader(self, request: Request, action: Action) -> Response:
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

    async def _await_outcome(self, asked: FailoverRequest, before: str | None) -> Response:
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

    async def delete_switchover(self, request: Request) -> Response:
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
