"""Reading JSON that others wrote: bounded, never raising, never trusting a type.

What comes through an annotation or a socket may be broken or hostile, and must not be able to stop a reader.
"""

from __future__ import annotations

import json
import math
from typing import Any

Document = dict[str, Any]

MAX_DEPTH = 32
"""Levels of nesting that a document may have; far above any real one, far below the interpreter's stack."""
MAX_TEXT = 256 * 1024
"""Characters; what Kubernetes allows for all annotations of an object."""


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
