"""Bodies in and out: what a request may carry, and the forms of an answer (after Patroni)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from matriarch.ha.documents import Refusal, decode_object
from matriarch_agent.rest.message import Request, Response, ShortBody

MAX_BODY = 64 * 1024
"""Bytes of a request's body."""
BODY_TIMEOUT_S = 5.0
"""How long a client may take to send its body, in seconds."""


async def read_object(request: Request, *, optional: bool = False) -> dict[str, Any] | Refusal:
    """The JSON object in a request's body, or why there is none (400, 408, 411, 413).

    `optional`: no body, or an empty object, is an empty object; otherwise both are refused.
    """
    length = request.length
    if length is None:
        return {} if optional else Refusal(411, "Content-Length is required")
    if length > MAX_BODY:
        return Refusal(413, f"The body is larger than {MAX_BODY} bytes")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            raw = await request.read(length)
    except TimeoutError:
        return Refusal(408, "The body did not arrive in time")
    except ShortBody:
        return Refusal(400, "The body is shorter than announced")
    if optional and not raw:
        return {}
    try:
        document = decode_object(raw.decode())
    except UnicodeDecodeError:
        document = None
    if document is None or (not document and not optional):
        return Refusal(400, "The body must be a JSON object")
    return document


def text(status: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    """A sentence; it may echo what a client sent, so it is escaped (clients expect text/html)."""
    return Response(status, _escaped(words).encode(), "text/html", headers or {})


def document(status: int, value: object) -> Response:
    """JSON."""
    return raw_json(status, json.dumps(value, ensure_ascii=False))


def raw_json(status: int, body: str) -> Response:
    """JSON that is text already."""
    return Response(status, body.encode(), "application/json")


def plain(body: str) -> Response:
    """Prometheus' text format."""
    return Response(200, body.encode(), "text/plain")


def bare(status: int) -> Response:
    """A status line and no body, for load balancers and probes."""
    return Response(status)


def page(refusal: Refusal) -> Response:
    """A refusal as a small HTML page, the form that errors of the protocol itself have."""
    phrase = HTTPStatus(refusal.status).phrase
    body = (
        f"<html><head><title>{refusal.status} {phrase}</title></head>"
        f"<body><h1>{refusal.status} {phrase}</h1><p>{_escaped(refusal.text)}</p></body></html>\n"
    )
    return Response(refusal.status, body.encode(), "text/html")


def _escaped(words: str) -> str:
    """Text for HTML, outside of attributes. Python's own module would bring its table of entities, 0.3 MB."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
