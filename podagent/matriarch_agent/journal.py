"""The last thousand decisions, for people who ask why, and the log port."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
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
        self._entries: deque[_Entry] = deque(maxlen=KEPT)
        self.counts: dict[str, int] = {}
        """Decisions by reason."""

    def record(self, decision: Decision, wall: float) -> None:
        """Keep a decision taken at `wall` (UTC epoch seconds); log it when it differs from the one before."""
        reason = str(decision.reason)
        self.counts[reason] = self.counts.get(reason, 0) + 1
        entry = self._entries[-1] if self._entries else None
        if entry is not None and entry.repeated_by(decision):
            entry.times, entry.last, entry.decision = entry.times + 1, wall, decision
            return
        self._entries.append(_Entry(decision, wall, wall))
        actions = [describe(action) for action in decision.actions]
        self._log("decision", reason=reason, facts=decision.facts, actions=actions, lead=decision.lead)

    def entries(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [entry.document() for entry in self._entries]


@dataclass(slots=True)
class _Entry:
    """A run of decisions that differ in their facts only; put into words when somebody asks."""

    decision: Decision
    first: float
    last: float
    times: int = 1

    def repeated_by(self, decision: Decision) -> bool:
        mine = self.decision
        return (mine.reason, mine.lead, mine.actions) == (decision.reason, decision.lead, decision.actions)

    def document(self) -> dict[str, Any]:
        decision = self.decision
        return {
            "first": iso(self.first),
            "last": iso(self.last),
            "times": self.times,
            "reason": str(decision.reason),
            "facts": decision.facts,
            "actions": [describe(action) for action in decision.actions],
            "lead": decision.lead,
        }


def iso(wall: float) -> str:
    """A moment in UTC epoch seconds for people."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


def describe(action: object) -> str:
    """An action in words: its dataclass form without the module's name."""
    return repr(action)
