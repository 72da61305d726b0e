"""The text of synchronous_standby_names, both ways.

Priority mode: every name listed acknowledges every commit, so the number in front is the number of names
(after Patroni).
"""

from __future__ import annotations

import re

from matriarch.config.quoting import identifier

STRICT_PLACEHOLDER = "__patroni_strict_sync_replica_placeholder__"
"""Names nobody: with it in force no commit gets through. Patroni's word, so that its tools understand it."""

_NAME = re.compile(r'"((?:[^"]|"")*)"|([A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*|\*)')
_COUNTED = re.compile(r"\s*(?:(?:first|any)\s+)?\d+\s*\((.*)\)\s*\Z", re.IGNORECASE | re.DOTALL)


def format_names(names: tuple[str, ...], *, strict: bool = False) -> str:
    """The setting's text. Nobody named: empty, or the placeholder when `strict`."""
    if not names:
        return identifier(STRICT_PLACEHOLDER) if strict else ""
    if len(names) == 1:
        return identifier(names[0])
    return f"{len(names)} ({','.join(identifier(name) for name in names)})"


def parse_names(text: str) -> tuple[tuple[str, ...], bool]:
    """The names in the setting's text, and whether only the placeholder is there."""
    counted = _COUNTED.match(text)
    inner = counted[1] if counted else text
    names = tuple(match[1].replace('""', '"') if match[1] is not None else match[2] for match in _NAME.finditer(inner))
    if names == (STRICT_PLACEHOLDER,):
        return (), True
    return names, False
