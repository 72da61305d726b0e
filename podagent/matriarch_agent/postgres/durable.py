"""Bringing a whole data directory to the disk."""

from __future__ import annotations

from pathlib import Path

from matriarch_agent.postgres import programs
from matriarch_agent.postgres.place import Place

SYNC_WITHIN_S = 24 * 3600.0


async def sync(place: Place, target: Path) -> None:
    """Bring a data directory to the disk, whoever wrote it. Raises ProgramFailed."""
    argv = [place.program("initdb"), "--sync-only", "-D", str(target)]
    await programs.check(argv, place.environment(), timeout=SYNC_WITHIN_S)
