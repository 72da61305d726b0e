"""Calls to the members' REST interface (after Patroni)."""

from __future__ import annotations

from typing import Protocol

import aiohttp

from matriarch.fleet.actions import Restart
from matriarch.words import names
from matriarch.words.errors import ConflictError, Unavailable

RESTART_S = 90.0
"""Seconds for a restart, which the member answers when it is done: a checkpoint and a start of Postgres."""


class Members(Protocol):
    """What the executor asks of members."""

    async def restart(self, wanted: Restart) -> None:
        """Restarts a member's Postgres if it still has the role and a restart pending."""
        ...


class MemberClient:
    """Over HTTP, one short connection per call."""

    async def restart(self, wanted: Restart) -> None:
        """Raises ConflictError when the member's facts have changed, Unavailable when there is no usable answer."""
        host = f"[{wanted.address}]" if ":" in wanted.address else wanted.address
        url = f"http://{host}:{names.REST_PORT}/restart"
        body = {"restart_pending": True, "role": wanted.role}
        limits = aiohttp.ClientTimeout(total=RESTART_S, connect=5.0)
        try:
            async with aiohttp.ClientSession(timeout=limits) as session, session.post(url, json=body) as answer:
                text = (await answer.text())[:300]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"restart of {wanted.member}: {type(error).__name__}: {error}") from error
        if answer.status != 200:
            raise ConflictError(f"restart of {wanted.member} answered {answer.status}: {text}")
