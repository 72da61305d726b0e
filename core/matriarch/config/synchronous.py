"""The text of synchronous_standby_names, both ways.

Priority mode: every name listed acknowledges every commit, so the number in front is the number of names. Quorum mode:
any so many of them do (both after Patroni).
"""

from __future__ import annotations

import re

from matriarch.config.quoting import identifier
from matriarch.words.sync_names import BLOCKED, NOBODY, SyncNames

STRICT_PLACEHOLDER = "__patroni_strict_sync_replica_placeholder__"
"""Names nobody: with it in force no commit gets through. Patroni's word, so that its tools understand it."""

_NAME = re.compile(r'"((?:[^"]|"")*)"|([A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*|\*)')
_COUNTED = re.compile(r"\s*(?:(first|any)\s+)?(\d+)\s*\((.*)\)\s*\Z", re.IGNORECASE | re.DOTALL)
_LARGEST = 10_000
"""More standbys than any server has; a greater number in somebody's text counts as this."""


def format_names(wanted: SyncNames) -> str:
    """The setting's text. Nobody named: empty, or the placeholder when `strict`."""
    if not wanted.names:
        return identifier(STRICT_PLACEHOLDER) if wanted.strict else ""
    listed = ",".join(identifier(name) for name in wanted.names)
    if wanted.quorum:
        return f"ANY {wanted.count} ({listed})"
    return listed if len(wanted.names) == wanted.count == 1 else f"{wanted.count} ({listed})"


def parse_names(text: str) -> SyncNames:
    """What a setting's text means; one without a number waits for the first of its names."""
    counted = _COUNTED.match(text)
    inner = counted[3] if counted else text
    names = tuple(match[1].replace('""', '"') if match[1] is not None else match[2] for match in _NAME.finditer(inner))
    if names == (STRICT_PLACEHOLDER,):
        return BLOCKED
    if not names:
        return NOBODY
    if counted is None:
        return SyncNames(names, 1)
    return SyncNames(names, min(int(counted[2][:6]), _LARGEST), quorum=(counted[1] or "").lower() == "any")
