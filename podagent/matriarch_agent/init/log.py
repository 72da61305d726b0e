"""One JSON line on standard error for each thing that init does."""

from __future__ import annotations

import json
import os
import time


def log(level: str, event: str, **facts: object) -> None:
    """Write one line. It never blocks for long and never fails: a full pipe or a closed one loses the line."""
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
    line = json.dumps({"timestamp": stamp, "level": level, "logger": "init", "event": event, **facts}) + "\n"
    try:
        os.write(2, line.encode())
    except OSError:
        return
