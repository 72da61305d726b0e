"""What servers that were killed leave in memory: a server would remove it at its next start, and these have none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_SHARED = Path("/dev/shm")
_SEGMENTS = "PostgreSQL.*"


@pytest.fixture(scope="session", autouse=True)
def swept() -> Iterator[None]:
    """After the last test no segment is left that was made during the run and that nobody uses any more."""
    began = time.time()
    yield
    # In this order: the servers of other processes of the run go on, and make new ones meanwhile.
    found = list(_SHARED.glob(_SEGMENTS))
    in_use = _mapped()
    for segment in found:
        with suppress(FileNotFoundError):
            if segment.stat().st_mtime >= began and str(segment) not in in_use:
                segment.unlink()


def _mapped() -> set[str]:
    """The segments that some process has in its memory."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            found |= {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if f" {_SHARED}/" in line}
    return found
