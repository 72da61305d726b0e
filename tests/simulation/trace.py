"""What happened in a run: one entry per event, kept unformatted until somebody wants to read it as a timeline.

    12.345  demo-1   > TakingOver: demo-0 is silent for 2.1 s -> Promise(version='131'), Claim(version='117')

The mark tells what kind of line it is: `!` a fault or a deed of the world, `>` a decision of an agent, `=` what the API
server holds from now on, `X` a violation. A gap of some seconds is a blank line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

Entry = tuple[float, str, str, Mapping[str, Any] | None]
GAP_S = 5.0
WORLD = frozenset({"fault", "network", "world", "admin"})
"""Who stands for the surroundings, and not for a member."""
LONGEST = 200
"""Characters of one value."""


class Trace:
    """The events of one run, in order. `keep`: how many of the last ones; None for all."""

    def __init__(self, keep: int | None = 400) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self.whole = keep is None
        self.count = 0
        self._time = asyncio.get_running_loop().time

    def add(self, who: str, what: str, facts: Mapping[str, Any] | None = None) -> None:
        """Note an event at the present moment."""
        self.count += 1
        self._entries.append((self._time(), who, what, facts))

    def lines(self, last: int | None = None) -> list[str]:
        """The events in words, oldest first."""
        entries = list(self._entries)
        lines: list[str] = []
        before: float | None = None
        for entry in entries if last is None else entries[-last:]:
            if before is not None and entry[0] - before >= GAP_S:
                lines.append("")
            before = entry[0]
            lines.append(_line(entry))
        return lines


def _line(entry: Entry) -> str:
    at, who, what, facts = entry
    text = _decision(facts) if what == "decision" and facts else what + _tail(facts)
    return f"{at:9.3f}  {who:<8} {_mark(who, what)} {text}"


def _mark(who: str, what: str) -> str:
    if what.startswith("VIOLATION"):
        return "X"
    if who in WORLD:
        return "!"
    if who == "api":
        return "=" if what.startswith(("lock:", "sync object:")) else "!"
    return ">" if what == "decision" else " "


def _decision(facts: Mapping[str, Any]) -> str:
    actions = ", ".join(str(action).removesuffix("()") for action in facts["actions"])
    text = f"{facts['reason']}: {_short(facts['facts'])}"
    text += f" -> {actions}" if actions else ""
    return f"{text} [leads]" if facts["lead"] else text


def _tail(facts: Mapping[str, Any] | None) -> str:
    return "" if not facts else "  " + " ".join(f"{key}={_short(value)}" for key, value in facts.items())


def _short(value: Any) -> str:
    text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
