"""Where a server is: the part of a URL that a connection is made to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """`prefix` is the URL's own path, without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an http:// or https:// URL. Raises ValueError for everything else, and for one that carries a
        user's name."""
        parts = urlsplit(url)
        if parts.scheme not in _USUAL_PORTS or not parts.hostname or parts.username is not None:
            raise ValueError("not an http:// or https:// address of a server")
        port = parts.port if parts.port is not None else _USUAL_PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def header(self) -> str:
        """The value of a request's Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL_PORTS[self.scheme] else f"{host}:{self.port}"
