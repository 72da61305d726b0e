"""Reading what the API server says: errors by status code, and the lines of a watch. Pure: no input or output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from matriarch.kube.api import Object, WatchEvent
from matriarch.words.errors import (
    AlreadyExists,
    ConflictError,
    Forbidden,
    Gone,
    Invalid,
    MatriarchError,
    NotFound,
    Throttled,
    Unavailable,
)

_MESSAGE_LIMIT = 1000


def read_object(body: bytes) -> Object:
    """A JSON object. Raises Unavailable when it is none: something between us and the API server answered."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unavailable(f"the answer is not a JSON object but a {type(value).__name__}")
    return value


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> MatriarchError:
    """The error for an answer that is no success. The one place where status codes are translated.

    The headers' names are in lower case.
    """
    reason, message = _explanation(body)
    text = f"{status} {reason}: {message}"[:_MESSAGE_LIMIT]
    match status:
        case 404:
            return NotFound(text)
        case 409:
            return AlreadyExists(text) if reason == "AlreadyExists" else ConflictError(text)
        case 410:
            return Gone(text)
        case 429:
            return Throttled(text, _seconds(headers.get("retry-after")))
        case 401 | 403:
            return Forbidden(text)
        case 408:
            return Unavailable(text)
        case _ if 300 <= status < 500:
            return Invalid(text)
        case _:
            return Unavailable(text)


def _explanation(body: bytes) -> tuple[str, str]:
    """Reason and message of a `Status` object, or what can be had of anything else (a proxy's HTML, say)."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return str(status.get("reason", "")), str(status.get("message", ""))
    return "", body[:200].decode("utf-8", "replace")


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds, at most a minute. Its other form, a date, is never sent by the API server."""
    if retry_after is None or not retry_after.isdecimal():
        return 1.0
    return min(float(retry_after), 60.0)


class LineBuffer:
    """Cuts a stream of bytes into lines of any length, touching each byte once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes, without their ends and without empty ones."""
        *complete, rest = data.split(b"\n")
        for line in complete:
            whole = b"".join((*self._parts, line))
            self._parts.clear()
            if whole.strip():
                yield whole
        if rest:
            self._parts.append(rest)


def read_event(line: bytes) -> WatchEvent:
    """One line of a watch. Raises Gone for an expired version, Unavailable for every other error in the stream."""
    event = read_object(line)
    kind, item = event.get("type"), event.get("object")
    if not isinstance(item, dict):
        raise Unavailable("a watch event without an object")
    match kind:
        case "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK":
            return WatchEvent(kind, item)
        case _:
            raise _stream_error(item)


def _stream_error(status: Mapping[str, Any]) -> MatriarchError:
    text = f"{status.get('code')} {status.get('reason', '')}: {status.get('message', '')}"[:_MESSAGE_LIMIT]
    return Gone(text) if status.get("code") == 410 else Unavailable(f"error in the watch: {text}")
