"""Which Postgres parameters a manifest may set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from matriarch.words.parameters import owned

NAME_PATTERN = r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$"
MAX_NAME = 126
"""Characters, our own bound: it keeps the cost of the schema's rules bounded."""

_NAME = re.compile(NAME_PATTERN)


def refusal(name: str) -> str | None:
    """Why this parameter cannot be set in a manifest, or None when it can."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return "is not a parameter's name: write it in lower case, with at most one dot"
    if owned(name):
        return "belongs to Matriarch and cannot be set here"
    return None


def has_control(text: str) -> bool:
    """Whether a text has a line break or another control character, with which it could leave its place in a file."""
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def as_text(value: int | float | bool | str) -> str:
    """A parameter's value in postgresql.conf's spelling, before quoting."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def refusals(parameters: Mapping[str, int | float | bool | str]) -> list[str]:
    """One sentence for each parameter that cannot be set, in the order of their names."""
    found = []
    for name in sorted(parameters):
        reason = refusal(name)
        if reason is None and has_control(as_text(parameters[name])):
            reason = "has a value with a line break or another control character"
        if reason is not None:
            found.append(f"parameter {name[:MAX_NAME]!r} {reason}")
    return found
