"""Numbers with Postgres' units (B, kB, MB, GB, TB; us, ms, s, min, h, d)."""

from __future__ import annotations

import re
from enum import Enum

_SIZE = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_NUMBER = re.compile(r"\s*([-+]?\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*\Z")


class Quantity(Enum):
    """What a bare number of a parameter counts: the parameter's base unit, in bytes; COUNT takes no unit."""

    COUNT = 0
    KILOBYTES = 1 << 10
    BLOCKS = 8 << 10
    MEGABYTES = 1 << 20


def parse_quantity(text: str, base: Quantity) -> float | None:
    """Bytes (or the count) that a parameter's text means; None when it cannot be read.

    Units are case-sensitive, as in Postgres.
    """
    match = _NUMBER.match(text)
    if match is None:
        return None
    number, unit = float(match[1]), match[2]
    if base is Quantity.COUNT:
        return number if not unit and number == int(number) else None
    if not unit:
        return number * float(base.value)
    return number * _SIZE[unit] if unit in _SIZE else None
