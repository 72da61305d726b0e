"""The last thousand decisions, for people who ask why, and the log port."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from matriarch.ha.actions import Decision

KEPT = 1000


class Log(Protocol):
    """One structured log line."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Write `event` with its facts. Never give it a secret."""
        ...


class Journal:
    """Decisions in order; a decision that repeats the one before only counts it up."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._last: tuple[object, ...] | None = None
        self.counts: dict[str, int] = {}
        """Decisions by reason."""

    def record(self, decision: Decision, wall_iso: str) -> None:
        """Keep a decision; log it when it differs from the one before."""
        reason = str(decision.reason)
        self.counts[reason] = self.counts.get(reason, 0) + 1
        actions = [describe(action) for action in decision.actions]
        same = (reason, tuple(actions), decision.lead)
        if same == self._last:
            entry = self._entries[-1]
            entry["times"] += 1
            entry["last"] = wall_iso
            entry["facts"] = decision.facts
            return
        self._last = same
        entry = {"first": wall_iso, "last": wall_iso, "times": 1, "reason": reason, "facts": decision.facts}
        self._entries.append(entry | {"actions": actions, "lead": decision.lead})
        self._log("decision", reason=reason, facts=decision.facts, actions=actions, lead=decision.lead)

    def entries(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [dict(entry) for entry in self._entries]


def describe(action: object) -> str:
    """An action in words: its dataclass form without the module's name."""
    return repr(action)
