"""The other members over HTTP. What does not answer properly and in time is not reachable; nothing here raises."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import aiohttp
from yarl import URL

from matriarch.ha.documents import decode_object, peer_answer_from
from matriarch.ha.documents.access import Credentials
from matriarch.ha.view import PeerAnswer
from matriarch_agent.ports import FailsafeClaim

MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read."""
_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValueError, asyncio.IncompleteReadError)


class HttpPeers:
    """Implements the Peers port. `cluster` is our own: an answer that names another one is from a stranger.

    Every question takes a new connection: one that was kept could be on a path that is cut by now, and a silent socket
    would look like a silent member. To be used as an async context manager, or closed with `close`.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._credentials: Credentials | None = None

    async def __aenter__(self) -> HttpPeers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop everything under way."""
        if self._session is not None:
            await self._session.close()
            self._session = None

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
        except ConnectionRefusedError:
            return PeerAnswer(name, reachable=False, refused=True)
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
        try:
            answer = await self._call("POST", api_url, "/failsafe", timeout, document)
        except ConnectionRefusedError:
            return False
        return answer is not None and answer[0] == 200 and answer[1].strip() == "Accepted"

    async def _call(
        self, method: str, api_url: str, path: str, timeout: float, document: dict[str, Any] | None = None
    ) -> tuple[int, str] | None:
        try:
            url = URL(api_url).with_path(path)
            if url.scheme not in ("http", "https") or url.user is not None:
                return None
            body = json.dumps(document).encode() if document is not None else None
            async with asyncio.timeout(timeout):
                return await self._exchange(method, url, body)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ConnectionRefusedError):
                raise error.os_error from error
            return None
        except _FAILURES:
            return None

    async def _exchange(self, method: str, url: URL, body: bytes | None) -> tuple[int, str]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if body is not None and self._credentials is not None and (self._tls is None or url.scheme == "https"):
            # A password that is kept for TLS never goes in the clear, whatever address a member tells.
            headers["Authorization"] = self._credentials.header
        request = self._open().request
        trust = self._tls or False
        async with request(method, url, data=body, headers=headers, allow_redirects=False, ssl=trust) as response:
            raw = bytearray()
            async for chunk in response.content.iter_any():
                raw += chunk
                if len(raw) > MAX_ANSWER:
                    raise ValueError("the answer is too long")
            return response.status, raw.decode()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=64, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            )
        return self._session
