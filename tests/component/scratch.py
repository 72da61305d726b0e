"""Folders for throw-away servers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH = 4 << 30
"""Bytes. The servers of two tests at once need far less; a container's usual 64 MiB are too few."""


def scratch(prefix: str) -> Path:
    """A new folder, in memory where there is room: what a test kills are processes, which memory outlives as well as a
    disk does, and half of the time went into waiting for the disk."""
    roomy = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if roomy else None))
