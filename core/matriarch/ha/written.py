"""Single values as people write them: booleans and numbers may come as text. Never raises."""

from __future__ import annotations

LARGEST = 2**63 - 1


def flag(value: object) -> bool:
    """A boolean that may have been written as text."""
    return str(value).lower() in ("true", "on", "yes", "1")


def whole(value: object, default: int) -> int:
    """An integer that may have been written as text; `default` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return default
    try:
        number = int(value)
    except ValueError:
        return default
    return number if abs(number) <= LARGEST else default
