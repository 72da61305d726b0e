"""Bodies in and out: what a request may carry, and the forms of an answer (after Patroni)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from aiohttp import web

from matriarch.ha.documents import Refusal, decode_object

MAX_BODY = 64 * 1024
"""Bytes of a request's body."""
BODY_TIMEOUT_S = 5.0
"""How long a client may take to send its body, in seconds."""


async def read_object(request: web.BaseRequest, *, optional: bool = False) -> dict[str, Any] | Refusal:
    """The JSON object in a request's body, or why there is none (400, 408, 411, 413).

    `optional`: no body, or an empty object, is an empty object; otherwise both are refused.
    """
    length = request.content_length
    if length is None:
        return {} if optional else Refusal(411, "Content-Length is required")
    if length > MAX_BODY:
        return Refusal(413, f"The body is larger than {MAX_BODY} bytes")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            raw = await request.content.readexactly(length)
    except TimeoutError:
        return Refusal(408, "The body did not arrive in time")
    except asyncio.IncompleteReadError:
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


def text(status: int, words: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A sentence; it may echo what a client sent, so it is escaped (clients expect text/html)."""
    body = escape(words, quote=False)
    return _closing(web.Response(status=status, text=body, content_type="text/html", headers=headers))


def document(status: int, value: object) -> web.Response:
    """JSON."""
    return raw_json(status, json.dumps(value, ensure_ascii=False))


def raw_json(status: int, body: str) -> web.Response:
    """JSON that is text already."""
    return _closing(web.Response(status=status, text=body, content_type="application/json"))


def plain(body: str) -> web.Response:
    """Prometheus' text format."""
    return _closing(web.Response(text=body, content_type="text/plain"))


def bare(status: int) -> web.Response:
    """A status line and no body, for load balancers and probes."""
    return _closing(web.Response(status=status))


def page(refusal: Refusal) -> web.Response:
    """A refusal as a small HTML page, the form that errors of the protocol itself have."""
    phrase = HTTPStatus(refusal.status).phrase
    body = (
        f"<html><head><title>{refusal.status} {phrase}</title></head>"
        f"<body><h1>{refusal.status} {phrase}</h1><p>{escape(refusal.text)}</p></body></html>\n"
    )
    return _closing(web.Response(status=refusal.status, text=body, content_type="text/html"))


def _closing(response: web.Response) -> web.Response:
    """One request per connection, like Patroni: idle clients must not use up the agent's file descriptors."""
    response.force_close()
    return response
