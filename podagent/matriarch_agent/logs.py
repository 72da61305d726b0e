"""Structured JSON log lines on standard output."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from matriarch_agent.journal import Log

WARNINGS = frozenset({"action failed", "activity failed", "lock lost", "renewal without an answer", "pg_rewind failed"})


def configure() -> None:
    """The libraries' own warnings go to the same place."""
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING)


def logger(member: str) -> Log:
    """The log port of one member's agent."""

    def write(event: str, **facts: Any) -> None:
        line = {
            "member": member,
            **facts,
            "event": event,
            "level": "warning" if event in WARNINGS else "info",
            "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        print(json.dumps(line, default=repr), flush=True)

    return write
