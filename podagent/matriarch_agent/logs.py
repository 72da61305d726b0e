"""Structured JSON log lines on standard output."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from matriarch_agent.journal import Log

WARNINGS = frozenset({"action failed", "activity failed", "lock lost", "renewal without an answer", "pg_rewind failed"})


def configure() -> None:
    """JSON lines for our own events and for the libraries'."""
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )


def logger(member: str) -> Log:
    """The log port of one member's agent."""
    bound = structlog.get_logger().bind(member=member)

    def write(event: str, **facts: Any) -> None:
        if event in WARNINGS:
            bound.warning(event, **facts)
        else:
            bound.info(event, **facts)

    return write
