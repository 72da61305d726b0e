"""Kubernetes quantities: `1Gi`, `500m`, `2`. One amount has several spellings: amounts are compared, not texts."""

from __future__ import annotations

import re
from decimal import Decimal

PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
"""The spellings that a manifest of ours may use: no sign, no exponent."""

_TEXT = re.compile(r"\A([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?\Z")
_FACTORS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def parse_quantity(value: int | float | str) -> Decimal:
    """The amount in its base unit (bytes, cores, pieces). Raises ValueError for anything that is not a quantity."""
    match = _TEXT.match(str(value))
    if match is None:
        raise ValueError(f"not a quantity: {str(value)[:40]!r}")
    amount: Decimal = Decimal(match[1]) * _FACTORS[match[2]]
    return amount


def parse_bytes(value: int | str) -> int:
    """A quantity in whole bytes, rounded down. Raises ValueError."""
    return int(parse_quantity(value))


def same_quantity(one: object, other: object) -> bool:
    """Whether both are quantities of the same amount (`1000m` and `1`; `1024Mi` and `1Gi`)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if not isinstance(one, int | float | str) or not isinstance(other, int | float | str):
        return False
    try:
        return parse_quantity(one) == parse_quantity(other)
    except ValueError:
        return False
