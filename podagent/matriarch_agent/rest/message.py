"""A request as its handler sees it, and the answer that it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit


class ShortBody(Exception):
    """The client went away, or sent nonsense, before its body was complete."""


ReadBody = Callable[[int], Awaitable[bytes]]
"""Reads so many bytes of the body. Raises ShortBody."""


@dataclass(frozen=True, slots=True)
class Request:
    """`path` and `query` are decoded; header names are in lower case. `address` is the client's, empty when unknown;
    `certificate`: it has shown one that is trusted."""

    method: str
    path: str
    query: Mapping[str, str]
    """Of a repeated parameter the first value counts."""
    headers: Mapping[str, str]
    address: str
    certificate: bool
    read: ReadBody

    @classmethod
    def of(
        cls, method: str, target: str, headers: Mapping[str, str], *, address: str, certificate: bool, read: ReadBody
    ) -> Self:
        """A request for a target in any of HTTP's forms."""
        if not target.startswith("/") and "://" in target:
            parts = urlsplit(target)
            path, asked = parts.path or "/", parts.query
        else:
            path, _, asked = target.partition("?")
        query: dict[str, str] = {}
        for name, value in parse_qsl(asked, keep_blank_values=True):
            query.setdefault(name, value)
        return cls(method, unquote(path), query, headers, address, certificate, read)

    @property
    def length(self) -> int | None:
        """The body's length as the client tells it; None when it does not, or sends the body in chunks."""
        told = self.headers.get("content-length")
        return None if told is None or "transfer-encoding" in self.headers else int(told)


@dataclass(frozen=True, slots=True)
class Response:
    """`content_type` is None for an answer without a body."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
