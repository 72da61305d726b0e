from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.kube.answers import LineBuffer, error_of, read_event, read_object
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


def status(code: int, reason: str) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": "because"}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Forbidden),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (405, "MethodNotAllowed", Invalid),
        (408, "Timeout", Unavailable),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", ConflictError),
        (410, "Expired", Gone),
        (415, "UnsupportedMediaType", Invalid),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Throttled),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
        (302, "", Invalid),
    ],
)
def test_each_status_code_has_its_error(code: int, reason: str, expected: type[MatriarchError]) -> None:
    error = error_of(code, {}, status(code, reason))
    assert type(error) is expected
    assert "because" in str(error)


@pytest.mark.parametrize(("header", "seconds"), [(None, 1.0), ("7", 7.0), ("soon", 1.0), ("-3", 1.0), ("99999", 60.0)])
def test_retry_after_is_read_with_suspicion(header: str | None, seconds: float) -> None:
    error = error_of(429, {"retry-after": header} if header else {}, status(429, "TooManyRequests"))
    assert isinstance(error, Throttled)
    assert error.retry_after_s == seconds


@given(st.integers(300, 599), st.binary(max_size=300))
def test_any_refusal_becomes_one_of_our_errors(code: int, body: bytes) -> None:
    assert isinstance(error_of(code, {}, body), MatriarchError)


@given(st.binary(max_size=100))
def test_what_is_not_an_object_is_unavailable(body: bytes) -> None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        with pytest.raises(Unavailable):
            read_object(body)


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b""))), st.lists(st.integers(0, 500), max_size=20)
)
def test_lines_survive_any_cutting(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    buffer = LineBuffer()
    found = [line for start, end in pairwise(places) for line in buffer.feed(data[start:end])]
    assert found == [line for line in lines if line.strip()]


def test_an_unfinished_line_is_no_line() -> None:
    assert list(LineBuffer().feed(b'{"type":')) == []


def test_events_and_errors_of_a_stream() -> None:
    event = read_event(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}')
    assert (event.type, event.object["metadata"]["resourceVersion"]) == ("BOOKMARK", "7")
    with pytest.raises(Gone):
        read_event(b'{"type":"ERROR","object":' + status(410, "Expired") + b"}")
    with pytest.raises(Unavailable, match="500"):
        read_event(b'{"type":"ERROR","object":' + status(500, "InternalError") + b"}")
    for broken in (b"{", b"[]", b'{"type":"ADDED"}', b'{"type":"ADDED","object":3}', b'{"type":["x"],"object":{}}'):
        with pytest.raises(Unavailable):
            read_event(broken)
