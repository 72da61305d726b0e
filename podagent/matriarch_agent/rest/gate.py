"""Turns away who may not ask: the rules of `documents.access` on a request of this server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from matriarch.ha.documents.access import AccessRules, Caller, Credentials, Network, network_of, refusal_of
from matriarch_agent.rest import replies
from matriarch_agent.rest.configuration import RestConfiguration
from matriarch_agent.rest.face import Face
from matriarch_agent.rest.message import Request, Response

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Patroni"'}


class Gate:
    """Closed until the first `renew`."""

    def __init__(self, face: Face, configuration: RestConfiguration) -> None:
        self._face, self._configuration = face, configuration
        self._rules = AccessRules(allowed=())

    async def renew(self, credentials: Credentials | None) -> None:
        """Take these credentials, and look the allowlist's host names up again."""
        configuration = self._configuration
        self._rules = AccessRules(
            credentials=credentials,
            verify_client=configuration.verify_client,
            allowed=await _networks(configuration.allowlist) if configuration.allowlist else None,
            include_members=configuration.include_members,
        )

    def answer(self, request: Request, segment: str) -> Response | None:
        """The refusal of a request; None when it may pass."""
        caller = Caller(
            method=request.method,
            segment=segment,
            address=request.address,
            certificate=request.certificate,
            authorization=request.headers.get("authorization"),
        )
        refusal = refusal_of(caller, self._rules, self._members())
        if refusal is None:
            return None
        return replies.text(refusal.status, refusal.text, CHALLENGE if refusal.status == 401 else None)

    def _members(self) -> Iterator[str]:
        """Every address that a member is known by; what is remembered from before an outage counts."""
        view = self._face.facts().view
        if view is None:
            return
        yield view.me.pod_ip
        urls = list((view.lock.failsafe or {}).values())
        for member in view.members:
            urls.append(member.api_url or "")
            if member.pod_ip:
                yield member.pod_ip
        for url in urls:
            try:
                yield urlsplit(url).hostname or ""
            except ValueError:
                continue


async def _networks(allowlist: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks that the entries mean. A name that nobody knows now means none; it is looked up again."""
    found = [network_of(entry) for entry in allowlist]
    names = [entry for entry, network in zip(allowlist, found, strict=True) if network is None]
    looked_up = await asyncio.gather(*(_addresses(name) for name in names))
    return (*(network for network in found if network is not None), *(one for many in looked_up for one in many))


async def _addresses(name: str) -> list[Network]:
    try:
        async with asyncio.timeout(3.0):
            answers = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return []
    networks = [network_of(str(answer[4][0])) for answer in answers]
    return [network for network in networks if network is not None]
