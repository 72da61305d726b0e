"""Calls to the members' REST interface (after Patroni)."""

from __future__ import annotations

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Protocol

import aiohttp

from matriarch.fleet.actions import Restart
from matriarch.kube.api import SECRETS, Kube
from matriarch.words import names
from matriarch.words.errors import ConflictError, Forbidden, Invalid, Unavailable

RESTART_S = 90.0
"""Seconds for a restart, which the member answers when it is done: a checkpoint and a start of Postgres."""
MAX_ANSWER = 300
"""Bytes of an answer that are read: it goes into a sentence for a person."""


class Members(Protocol):
    """What the executor asks of members."""

    async def restart(self, namespace: str, wanted: Restart) -> None:
        """Restarts a member's Postgres if it still has the role and a restart pending."""
        ...


class MemberClient:
    """Over HTTP, one short connection per call. Certificates and passwords are read for the call and not kept."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def restart(self, namespace: str, wanted: Restart) -> None:
        """Raises ConflictError when the member's facts have changed or its restart failed, Forbidden when it lets this
        operator ask for none, Unavailable when there is no usable answer, and what reading the Secrets raises."""
        host = f"[{wanted.address}]" if ":" in wanted.address else wanted.address
        url = f"{wanted.scheme}://{host}:{names.REST_PORT}/restart"
        body = {"restart_pending": True, "role": wanted.role}
        limits = aiohttp.ClientTimeout(total=RESTART_S, connect=5.0)
        tls = await self._tls(namespace, wanted) if wanted.scheme == "https" else False
        headers = await self._headers(namespace, wanted)
        try:
            async with (
                aiohttp.ClientSession(timeout=limits, headers=headers) as session,
                session.post(url, json=body, ssl=tls) as answer,
            ):
                # Nobody vouches for its encoding, nor for the charset that it names.
                text = (await answer.content.read(MAX_ANSWER)).decode("utf-8", "replace")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        if answer.status in (401, 403):
            raise Forbidden(f"answered {answer.status}: {text}")
        if answer.status != 200:
            raise ConflictError(f"answered {answer.status}: {text}")

    async def _headers(self, namespace: str, wanted: Restart) -> dict[str, str]:
        """The password; not in the clear when there are certificates to protect it."""
        if wanted.auth_secret is None or (wanted.tls_secret is not None and wanted.scheme != "https"):
            return {}
        username, password = await self._secret(namespace, wanted.auth_secret, "username", "password")
        word = username.rstrip(b"\r\n") + b":" + password.rstrip(b"\r\n")
        return {"Authorization": "Basic " + base64.b64encode(word).decode()}

    async def _tls(self, namespace: str, wanted: Restart) -> ssl.SSLContext:
        """The members' own certificate, as they show it to each other; the chain is verified, not the name."""
        if wanted.tls_secret is None:
            # The section was taken out of the spec, and this member has not been replaced yet.
            return _unverified()
        certificate, key, authority = await self._secret(namespace, wanted.tls_secret, "tls.crt", "tls.key", "ca.crt")
        try:
            return _verified(certificate + b"\n" + key, authority.decode("ascii"))
        except (OSError, ValueError) as error:
            raise Invalid(f"Secret {wanted.tls_secret}: no usable certificates: {type(error).__name__}") from None

    async def _secret(self, namespace: str, name: str, *keys: str) -> list[bytes]:
        data = (await self._kube.get(SECRETS, namespace, name)).get("data") or {}
        absent = [key for key in keys if key not in data]
        if absent:
            raise Invalid(f"Secret {name} lacks {', '.join(absent)}")
        return [base64.b64decode(data[key]) for key in keys]


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _verified(identity: bytes, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority)
    # OpenSSL reads a certificate chain from files only; this one is gone when this function returns.
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder, "pem")
        pem.touch(mode=0o600)
        pem.write_bytes(identity)
        context.load_cert_chain(pem)
    return context
