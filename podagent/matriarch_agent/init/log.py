"""One JSON line on standard error for each thing that init does."""

from __future__ import annotations

import time

from matriarch_agent.init.output import Output
from matriarch_agent.init.wire import line

_OUTPUT = Output(2)


def log(level: str, event: str, **facts: object) -> None:
    """Write one line. It never blocks and never fails: a full pipe or a closed one loses the line. The next one that
    gets through tells by `lost` how many were."""
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
    if _OUTPUT.lost:
        facts["lost"] = _OUTPUT.lost
    _OUTPUT.write(line({"timestamp": stamp, "level": level, "logger": "init", "event": event, **facts}))
