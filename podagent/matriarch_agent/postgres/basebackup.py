"""Copying another member's data directory."""

from __future__ import annotations

from pathlib import Path

from matriarch.config.files import Source, connection
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.answering import while_it_answers
from matriarch_agent.postgres.durable import sync
from matriarch_agent.postgres.place import Place


async def copy(place: Place, source: Source, target: Path, options: tuple[str, ...] = ()) -> None:
    """pg_basebackup of `source` into `target`, with the WAL that it needs, and further options, on the disk when this
    returns. Raises ProgramFailed.

    The short wal_sender_timeout of our servers would break it off while files are being synced, so the connection asks
    for a longer one (a lesson of CloudNativePG's).
    """
    where = connection(source, application_name=f"{place.member}-clone", options="-c wal_sender_timeout=300s")
    argv = [
        place.program("pg_basebackup"),
        f"--pgdata={target}",
        f"--dbname={where}",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-password",
        "--no-sync",
        *options,
    ]
    await while_it_answers(place, source, programs.check(argv, place.environment()))
    # By a program of its own, since it needs no source any more.
    await sync(place, target)
