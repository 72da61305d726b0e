"""Where the API server is and how to show who we are: a pod's service account, or a kubeconfig file."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matriarch.words.errors import Invalid

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_LIFE_S = 60.0
"""A projected token is replaced in its file long before it expires; reading it once a minute is soon enough."""


class Token:
    """A bearer token that may change: `read` is asked again after TOKEN_LIFE_S, or at once after `forget`."""

    def __init__(self, read: Callable[[], str], now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._now = now
        self._known = ""
        self._read_at = float("-inf")

    def current(self) -> str:
        """The token. While its file cannot be read, the last one stays; without any, raises Invalid."""
        if self._now() - self._read_at >= TOKEN_LIFE_S:
            try:
                self._known = self._read().strip()
                self._read_at = self._now()
            except OSError as error:
                if not self._known:
                    raise Invalid(f"the service account's token cannot be read: {error.strerror}") from error
        return self._known

    def forget(self) -> None:
        """The server refused the token: read it again before the next request."""
        self._read_at = float("-inf")


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server and our credentials for it. `tls` holds the CA and the client certificate; None is plain HTTP."""

    server: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    token: Token | None = field(default=None, repr=False)
    namespace: str = "default"
    tls_name: str | None = None


def in_cluster(environ: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Connection:
    """The connection of a pod. Raises Invalid when this is not one, or its service account is not mounted."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise Invalid("not in a cluster: KUBERNETES_SERVICE_HOST is not set")
    token_file, namespace_file = folder / "token", folder / "namespace"
    try:
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except OSError as error:
        raise Invalid(f"{folder / 'ca.crt'} cannot be used: {error}") from error
    address = f"[{host}]" if ":" in host else host
    namespace = namespace_file.read_text().strip() if namespace_file.exists() else "default"
    return Connection(f"https://{address}:{port}", tls, Token(token_file.read_text), namespace)


def from_kubeconfig(path: str | Path, context: str = "") -> Connection:
    """The connection of a kubeconfig's context (default: its `current-context`).

    Raises Invalid that names the field: for a broken file, and for exec plugins and auth providers, which are programs
    of the user's and are not run here.
    """
    import yaml  # a pod has no kubeconfig, and its agent has to be small

    file = Path(path).expanduser()
    try:
        config = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"{file}: {error}") from error
    if not isinstance(config, dict):
        raise Invalid(f"{file} is not a kubeconfig")
    name = context or config.get("current-context") or ""
    chosen = _Entry(file, config, "contexts", name, "context")
    cluster = _Entry(file, config, "clusters", chosen.text("cluster"), "cluster")
    user = _Entry(file, config, "users", chosen.text("user"), "user")
    server = cluster.text("server")
    if not server.startswith(("https://", "http://")):
        raise Invalid(f"{cluster.where('server')}: {server!r} is not an https:// or http:// address")
    cluster.refuse("proxy-url", "a proxy is not supported")
    user.refuse("exec", "exec plugins are not supported; use a token or a client certificate")
    user.refuse("auth-provider", "auth providers are not supported; use a token or a client certificate")
    user.refuse("username", "passwords are not supported; use a token or a client certificate")
    tls = _tls_of(cluster, user) if server.startswith("https://") else None
    namespace, tls_name = chosen.text("namespace", ""), cluster.text("tls-server-name", "")
    return Connection(server.rstrip("/"), tls, _token_of(user), namespace or "default", tls_name or None)


class _Entry:
    """One named entry of a kubeconfig's list; every complaint says where it is."""

    def __init__(self, file: Path, config: Mapping[str, Any], section: str, name: str, key: str) -> None:
        self._file = file
        self._place = f"{file}: {section}[{name}].{key}"
        entries = config.get(section)
        found = (
            [e for e in entries if isinstance(e, dict) and e.get("name") == name] if isinstance(entries, list) else []
        )
        if not found or not isinstance(found[0].get(key), dict):
            raise Invalid(f"{self._place} is missing")
        self._fields: dict[str, Any] = found[0][key]

    def where(self, name: str) -> str:
        return f"{self._place}.{name}"

    def text(self, name: str, default: str | None = None) -> str:
        value = self._fields.get(name, default)
        if not isinstance(value, str):
            raise Invalid(f"{self.where(name)} must be a string")
        return value

    def refuse(self, name: str, why: str) -> None:
        if self._fields.get(name):
            raise Invalid(f"{self.where(name)}: {why}")

    def flag(self, name: str) -> bool:
        return self._fields.get(name) is True

    def file(self, name: str) -> Path | None:
        """A field that names a file, relative to the kubeconfig."""
        value = self.text(name, "")
        return self._file.parent / value if value else None

    def content(self, name: str) -> bytes | None:
        """What `<name>-data` holds in base64, or else the content of the file that `<name>` names."""
        data = self.text(f"{name}-data", "")
        if data:
            try:
                return base64.b64decode(data, validate=True)
            except binascii.Error as error:
                raise Invalid(f"{self.where(name)}-data is not base64") from error
        file = self.file(name)
        try:
            return file.read_bytes() if file else None
        except OSError as error:
            raise Invalid(f"{self.where(name)}: {file}: {error.strerror}") from error


def _token_of(user: _Entry) -> Token | None:
    text, file = user.text("token", ""), user.file("tokenFile")
    if file:
        return Token(file.read_text)
    return Token(lambda: text) if text else None


def _tls_of(cluster: _Entry, user: _Entry) -> ssl.SSLContext:
    authority = cluster.content("certificate-authority")
    try:
        tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise Invalid(f"{cluster.where('certificate-authority')} is not a PEM certificate: {error}") from error
    if cluster.flag("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if certificate is None:
        return tls
    import tempfile  # as above

    # OpenSSL reads a certificate chain from files only; these are gone when this function returns.
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder, "pem")
        pem.touch(mode=0o600)
        pem.write_bytes(certificate + b"\n" + (key or b""))
        try:
            tls.load_cert_chain(pem)
        except ssl.SSLError as error:
            raise Invalid(f"{user.where('client-certificate')} and client-key do not fit: {error}") from error
    return tls
