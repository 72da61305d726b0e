"""What the mounted Secrets hold: certificate, key and CA for both ends of TLS, and the credentials.

The kubelet replaces a Secret's files together, behind one symbolic link; `Material.read` may still meet a
half-written one, or one that a person got wrong. Then it raises, and whoever has an older material keeps it.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from matriarch.ha.documents.access import Credentials, VerifyClient
from matriarch.words.errors import Invalid
from matriarch_agent.rest.configuration import RestConfiguration

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"
_LARGEST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Material:
    """The Secrets as they were read. `server` and `client` are None for plain HTTP."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None
    credentials: Credentials | None = None
    digest: bytes = field(default=b"", repr=False)


def read_material(configuration: RestConfiguration) -> Material:
    """Read everything. Raises Invalid that says which file is wrong, and never what is in it."""
    tls, auth = configuration.tls, configuration.auth
    return Material(
        server=_server(tls, configuration.verify_client) if tls is not None else None,
        client=_client(tls) if tls is not None else None,
        credentials=_credentials(auth) if auth is not None else None,
        digest=digest(configuration),
    )


def digest(configuration: RestConfiguration) -> bytes:
    """Another one for other contents; files that cannot be read count as absent."""
    sums = hashlib.sha256()
    for folder, names in ((configuration.tls, (CERTIFICATE, KEY, AUTHORITY)), (configuration.auth, _WORDS)):
        for name in names if folder is not None else ():
            assert folder is not None
            try:
                content = _content(folder / name)
            except Invalid:
                content = b"absent"
            sums.update(hashlib.sha256(content).digest())
    return sums.digest()


_WORDS = ("username", "password")


def _server(folder: Path, verify_client: VerifyClient) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _identify(context, folder)
    if verify_client != "none":
        _trust(context, folder)
        context.verify_mode = ssl.CERT_REQUIRED if verify_client == "required" else ssl.CERT_OPTIONAL
    return context


def _client(folder: Path) -> ssl.SSLContext:
    """Members are asked by their pods' addresses, which no certificate lists: the chain is verified, not the name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    _trust(context, folder)
    _identify(context, folder)
    return context


def _identify(context: ssl.SSLContext, folder: Path) -> None:
    for name in (CERTIFICATE, KEY):
        _content(folder / name)
    try:
        # A password callback keeps OpenSSL from asking a terminal for an encrypted key's.
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise Invalid(f"{folder / CERTIFICATE} and {KEY} cannot be used together: {_told(error)}") from None


def _trust(context: ssl.SSLContext, folder: Path) -> None:
    content = _content(folder / AUTHORITY)
    try:
        context.load_verify_locations(cadata=content.decode("ascii", "strict"))
    except (OSError, ValueError) as error:
        raise Invalid(f"{folder / AUTHORITY} holds no certificate in PEM: {_told(error)}") from None


def _credentials(folder: Path) -> Credentials:
    username, password = (_text(folder / word) for word in _WORDS)
    if ":" in username:
        raise Invalid(f"{folder / 'username'} must not have a colon: basic authentication ends the name with it")
    return Credentials(username, password)


def _text(file: Path) -> str:
    """One line; editors and `echo` leave a line break at its end."""
    try:
        found = _content(file).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Invalid(f"{file} is not UTF-8") from None
    if not found:
        raise Invalid(f"{file} is empty")
    return found


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST)
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from None


def _told(error: Exception) -> str:
    return (getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)[:200]
