"""What goes over init's socket, and into its log. Written and read without Python's json, which would cost every member
a megabyte.

A request is a netstring of words with NULs in between: its number, its verb, and what the verb needs. Arguments and
environments of programs cannot hold a NUL either. An answer, like a line of the log, is one JSON object a line.
"""

from __future__ import annotations

LONGEST_REQUEST = 1 << 20
"""Bytes."""
_LONGEST_NUMBER = 7


class Nonsense(ValueError):
    """What came is no request."""


class Request:
    """One question."""

    __slots__ = ("number", "verb", "words")

    def __init__(self, number: int, verb: str, words: list[str]) -> None:
        self.number = number
        self.verb = verb
        self.words = words


def request(number: int, verb: str, *words: str) -> bytes:
    """A request as it is sent. Raises Nonsense for a word with a NUL in it."""
    if any("\0" in word for word in (verb, *words)):
        raise Nonsense("a word with a NUL in it")
    text = "\0".join((str(number), verb, *words)).encode("utf-8", "surrogateescape")
    return b"%d:%b," % (len(text), text)


def take_request(data: bytes) -> tuple[Request | None, bytes]:
    """The first request in `data`, None while it is not complete, and the rest. Raises Nonsense."""
    number, colon, _ = data[: _LONGEST_NUMBER + 1].partition(b":")
    if not colon and (len(number) > _LONGEST_NUMBER or (number and not number.isdigit())):
        raise Nonsense("no length")
    if not colon:
        return None, data
    if not number.isdigit() or int(number) > LONGEST_REQUEST:
        raise Nonsense("no length that is allowed")
    start, end = len(number) + 1, len(number) + 1 + int(number)
    if len(data) <= end:
        return None, data
    words = data[start:end].decode("utf-8", "surrogateescape").split("\0")
    if data[end : end + 1] != b"," or len(words) < 2:
        raise Nonsense("no request")
    if len(words[0]) > _LONGEST_NUMBER * 2 or not (words[0].isascii() and words[0].isdigit()):
        raise Nonsense("no number")
    return Request(int(words[0]), words[1], words[2:]), data[end + 1 :]


def line(told: dict[str, object]) -> bytes:
    """One line with a JSON object: of numbers, truth values, texts, None and such objects."""
    return f"{_json(told)}\n".encode("utf-8", "replace")


def _json(value: object) -> str:
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(str(key))}: {_json(item)}" for key, item in value.items()) + "}"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    if not text.isprintable():
        text = "".join(char if char >= " " else f"\\u{ord(char):04x}" for char in text)
    return f'"{text}"'
