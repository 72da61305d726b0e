"""One line per event, kept unformatted until somebody wants to read it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

Entry = tuple[float, str, str, Mapping[str, Any] | None]


class Trace:
    """The events of one run, in order. `keep`: how many of the last ones; None for all."""

    def __init__(self, keep: int | None = 400) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self.count = 0

    def add(self, who: str, what: str, facts: Mapping[str, Any] | None = None) -> None:
        """Note an event at the present moment."""
        self.count += 1
        self._entries.append((asyncio.get_running_loop().time(), who, what, facts))

    def lines(self, last: int | None = None) -> list[str]:
        """The events in words, oldest first."""
        entries = list(self._entries)
        return [_line(entry) for entry in (entries if last is None else entries[-last:])]

    def digest(self) -> str:
        """A fingerprint of what is kept."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()


def _line(entry: Entry) -> str:
    at, who, what, facts = entry
    tail = "" if not facts else "  " + " ".join(f"{key}={_short(value)}" for key, value in facts.items())
    return f"{at:9.3f}  {who:<7} {what}{tail}"


def _short(value: Any) -> str:
    text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    return text if len(text) <= 160 else text[:157] + "..."
