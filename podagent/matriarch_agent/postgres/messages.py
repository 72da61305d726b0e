"""The messages of Postgres' protocol 3.0, as far as the agent speaks it. Pure: no input or output."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

PROTOCOL = 3 << 16
TERMINATE = b"X\0\0\0\x04"
_LONGEST = 64 << 20
_BOOLEAN = 16
_INTEGERS = frozenset({20, 21, 23, 26})
_FRACTIONS = frozenset({700, 701})

Argument = str | bool | int | None | Sequence[str]
Value = str | int | float | bool | None


class Nonsense(ValueError):
    """What came is not the protocol, or what was to be sent has no form in it."""


class Message(NamedTuple):
    """One message of the server's: its letter, and what it carries."""

    kind: bytes
    body: bytes


class Complaint(NamedTuple):
    """What a server says about a failure: its sentence and nothing more, since details may repeat what was sent."""

    code: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.sentence} (SQLSTATE {self.code})"


class Inbox:
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._arrived = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes. Raises Nonsense."""
        self._arrived += data
        while len(self._arrived) >= 5:
            (length,) = struct.unpack_from("!I", self._arrived, 1)
            if not 4 <= length <= _LONGEST:
                raise Nonsense(f"a message of {length} bytes")
            if len(self._arrived) <= length:
                return
            message = Message(bytes(self._arrived[:1]), bytes(self._arrived[5 : length + 1]))
            del self._arrived[: length + 1]
            yield message


def startup(parameters: Mapping[str, str]) -> bytes:
    """The first message of a session; parameters that are not the protocol's own are the session's settings."""
    words = b"".join(_text(word) for pair in parameters.items() for word in pair)
    return struct.pack("!II", len(words) + 9, PROTOCOL) + words + b"\0"


def question(query: str, arguments: Sequence[Argument] = ()) -> bytes:
    """A query, with arguments for its `$1`, `$2`, …; after the answer to it the server is ready for the next."""
    if not arguments:
        return _message(b"Q", _text(query))
    values = b"".join(_argument(argument) for argument in arguments)
    return b"".join(
        (
            _message(b"P", b"\0" + _text(query) + b"\0\0"),
            _message(b"B", b"\0\0\0\0" + struct.pack("!H", len(arguments)) + values + b"\0\0"),
            _message(b"D", b"P\0"),
            _message(b"E", b"\0\0\0\0\0"),
            _message(b"S", b""),
        )
    )


def types_of(body: bytes) -> tuple[int, ...]:
    """The columns' types by their numbers, from a description of rows. Raises Nonsense."""
    try:
        (count,), at, found = struct.unpack_from("!H", body), 2, []
        for _ in range(count):
            at = body.index(0, at) + 1
            found.append(struct.unpack_from("!IHIHIH", body, at)[2])
            at += 18
    except (struct.error, ValueError) as error:
        raise Nonsense("a description of rows that ends too early") from error
    return tuple(found)


def values_of(body: bytes, types: Sequence[int]) -> tuple[Value, ...]:
    """A row. Truth values, whole numbers and binary fractions are told as such, all else as text. Raises Nonsense."""
    try:
        (count,), at, found = struct.unpack_from("!H", body), 2, list[Value]()
        for kind in types[:count]:
            (length,) = struct.unpack_from("!i", body, at)
            at += 4
            found.append(None if length < 0 else _value(body[at : at + length], kind))
            at += max(length, 0)
    except (struct.error, ValueError) as error:
        raise Nonsense("a row that cannot be read") from error
    if count != len(types) or at != len(body):
        raise Nonsense("a row that does not fit its description")
    return tuple(found)


def complaint_of(body: bytes) -> Complaint:
    """What an error message says."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return Complaint(fields.get(b"C", "?????"), " ".join(fields.get(b"M", "no reason given").split())[:500])


def _value(data: bytes, kind: int) -> Value:
    if kind == _BOOLEAN:
        return data == b"t"
    if kind in _INTEGERS:
        return int(data)
    return float(data) if kind in _FRACTIONS else data.decode(errors="replace")


def _argument(argument: Argument) -> bytes:
    if argument is None:
        return b"\xff\xff\xff\xff"
    data = _text(_written(argument))[:-1]
    return struct.pack("!I", len(data)) + data


def _written(argument: str | bool | int | Sequence[str]) -> str:
    if isinstance(argument, str):
        return argument
    if isinstance(argument, bool):
        return "t" if argument else "f"
    return str(argument) if isinstance(argument, int) else _array(argument)


def _array(words: Iterable[str]) -> str:
    quoted = ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return "{" + ",".join(quoted) + "}"


def _text(text: str) -> bytes:
    data = text.encode()
    if b"\0" in data:
        raise Nonsense("a text with a NUL in it")
    return data + b"\0"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
