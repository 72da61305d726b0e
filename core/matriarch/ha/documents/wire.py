"""Values from documents that others wrote: never raising, never trusting a type.

Everything here came through an annotation or a socket, so a member with a broken or hostile document must not be able
to stop a reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from matriarch.words.json_object import Document, decode_object, sound

__all__ = [
    "MAX_LSN",
    "Document",
    "decode_object",
    "encode",
    "lsn_of",
    "object_of",
    "sound",
    "text_of",
    "timeline_of",
    "url_of",
]

MAX_LSN = 2**63 - 1
_HTTP_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[\x21-\x7e]*)?", re.ASCII)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


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
