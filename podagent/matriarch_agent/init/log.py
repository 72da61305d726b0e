"""One JSON line on standard error for each thing that init does."""

from __future__ import annotations

import os
import time

from matriarch_agent.init.wire import line


def log(level: str, event: str, **facts: object) -> None:
    """Write one line. It never blocks for long and never fails: a full pipe or a closed one loses the line."""
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
    try:
        os.write(2, line({"timestamp": stamp, "level": level, "logger": "init", "event": event, **facts}))
    except OSError:
        return
