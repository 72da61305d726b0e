"""Structured JSON log lines on standard output. A reader that stands still costs lines, and never a renewal."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from matriarch_agent.init.output import Output
from matriarch_agent.journal import Log

WARNINGS = frozenset(
    {
        "action failed",
        "activity failed",
        "lock lost",
        "pg_rewind failed",
        "renewal without an answer",
        "renewals stop: the loop hangs",
    }
)
_OUTPUT = Output(1)


class _Stream:
    """What `logging` writes to."""

    def write(self, text: str) -> None:
        """Write at once or not at all."""
        _OUTPUT.write(text.encode("utf-8", "replace"))


def configure() -> None:
    """The libraries' own warnings go to the same place."""
    logging.basicConfig(stream=_Stream(), level=logging.WARNING)


def logger(member: str) -> Log:
    """The log port of one member's agent. A line that finds no room is lost; the next that does tells by `lost` how
    many were."""

    def write(event: str, **facts: Any) -> None:
        line = {
            "member": member,
            **facts,
            "event": event,
            "level": "warning" if event in WARNINGS else "info",
            "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        if _OUTPUT.lost:
            line["lost"] = _OUTPUT.lost
        _OUTPUT.write(f"{json.dumps(line, default=repr)}\n".encode())

    return write
