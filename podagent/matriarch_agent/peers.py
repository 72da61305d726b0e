"""The other members over HTTP. What does not answer properly and in time is not reachable; nothing here raises."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from matriarch.ha.documents import decode_object, peer_answer_from
from matriarch.ha.documents.access import Credentials
from matriarch.ha.view import PeerAnswer
from matriarch.net.http import Broken, HttpConnection
from matriarch.net.origin import Origin
from matriarch_agent.ports import FailsafeClaim

MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read."""


class HttpPeers:
    """Implements the Peers port. `cluster` is our own: an answer that names another one is from a stranger.

    Every question takes a new connection: one that was kept could be on a path that is cut by now, and a silent socket
    would look like a silent member. To be used as an async context manager, or closed with `close`.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._open: set[HttpConnection] = set()
        self._tls: ssl.SSLContext | None = None
        self._credulous: ssl.SSLContext | None = None
        self._credentials: Credentials | None = None

    async def __aenter__(self) -> HttpPeers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop everything under way."""
        for connection in self._open:
            connection.abort()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn

    def identify(self, tls: ssl.SSLContext | None, credentials: Credentials | None) -> None:
        """From now on, show this certificate and these credentials, and trust this CA.

        Without a CA of ours a member that serves https is believed as one that serves http is: while a cluster changes
        from one to the other, its members have to find each other.
        """
        self._tls, self._credentials = tls, credentials

    async def ask(self, name: str, api_url: str, *, timeout: float) -> PeerAnswer:
        """`GET /patroni` of a member. `timeout` in seconds, for everything from the connect to the last byte."""
        try:
            body = await self._call("GET", api_url, "/patroni", timeout)
        except Broken as error:
            return PeerAnswer(name, reachable=False, refused=error.refused)
        document = decode_object(body[1]) if body is not None else None
        return peer_answer_from(name, document, self._cluster)

    async def claim(self, api_url: str, claim: FailsafeClaim, *, timeout: float) -> bool:
        """`POST /failsafe`; True only for 200 with the agreed word."""
        document = {
            "name": claim.name,
            "api_url": claim.api_url,
            "conn_url": claim.conn_url,
            "slots": dict(claim.slots),
            "ttl": claim.ttl,
        }
        if claim.timeline is not None:
            document["timeline"] = claim.timeline
        try:
            answer = await self._call("POST", api_url, "/failsafe", timeout, document)
        except Broken:
            return False
        return answer is not None and answer[0] == 200 and answer[1].strip() == "Accepted"

    async def _call(
        self, method: str, api_url: str, path: str, timeout: float, document: dict[str, Any] | None = None
    ) -> tuple[int, str] | None:
        """Status and text; None when they are not to be had. Raises Broken."""
        body = json.dumps(document).encode() if document is not None else None
        try:
            origin = Origin.of(api_url)
            async with asyncio.timeout(timeout):
                return await self._exchange(method, origin, path, body)
        except (TimeoutError, ValueError):
            return None

    async def _exchange(self, method: str, origin: Origin, path: str, body: bytes | None) -> tuple[int, str]:
        headers = {"Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if body is not None and self._credentials is not None and (self._tls is None or origin.scheme == "https"):
            # A password that is kept for TLS never goes in the clear, whatever address a member tells.
            headers["Authorization"] = self._credentials.header
        connection = await HttpConnection.open(origin, self._trust() if origin.scheme == "https" else None)
        self._open.add(connection)
        try:
            head = await connection.ask(method, path, headers.items(), body)
            return head.status, (await connection.rest(MAX_ANSWER)).decode()
        finally:
            self._open.discard(connection)
            connection.abort()

    def _trust(self) -> ssl.SSLContext:
        if self._tls is not None:
            return self._tls
        if self._credulous is None:
            self._credulous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._credulous.check_hostname = False
            self._credulous.verify_mode = ssl.CERT_NONE
        return self._credulous
