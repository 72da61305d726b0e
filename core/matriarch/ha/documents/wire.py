"""Reading JSON that others wrote: bounded, never raising, never trusting a type.

Everything here came through an annotation or a socket, so a member with a broken or hostile document must not be able
to stop a reader.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

MAX_DEPTH = 32
"""Levels of nesting that a document may have; far above any real one, far below the interpreter's stack."""
MAX_TEXT = 256 * 1024
"""Characters; what Kubernetes allows for all annotations of an object."""
MAX_LSN = 2**63 - 1
_HTTP_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[\x21-\x7e]*)?", re.ASCII)


def decode_object(text: object) -> Document | None:
    """The JSON object that `text` holds; None when it holds anything else, or one that is too deep or not finite."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        return None
    try:
        document = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and sound(document) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def sound(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether a decoded value is nested within `depth` and can be written out again: no lone surrogates, no number that
    was too large for a float."""
    if depth < 0:
        return False
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(sound(key, depth) and sound(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return all(sound(item, depth - 1) for item in value)
    return True


def encode(document: object) -> str:
    """Compact JSON, as Patroni writes its annotations."""
    return _ENCODER.encode(document)


def text_of(document: Mapping[str, Any], key: str) -> str | None:
    """A non-empty string value."""
    value = document.get(key)
    return value if isinstance(value, str) and value else None


def lsn_of(document: Mapping[str, Any], key: str) -> int | None:
    """A WAL position in bytes; None when it is absent, not an integer or not a possible position."""
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_LSN else None


def timeline_of(document: Mapping[str, Any], key: str = "timeline") -> int | None:
    """A timeline number: 1 to 2^32 - 1."""
    value = lsn_of(document, key)
    return value if value is not None and 0 < value < 2**32 else None


def url_of(document: Mapping[str, Any], key: str) -> str | None:
    """An http or https address without user information; anything else is not asked for."""
    value = text_of(document, key)
    return value if value is not None and len(value) <= 512 and _HTTP_URL.fullmatch(value) else None


def object_of(document: Mapping[str, Any], key: str) -> Document:
    """A nested object, empty when there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}
