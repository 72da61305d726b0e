"""Copying another member's data directory."""

from __future__ import annotations

import re
from pathlib import Path

from matriarch.config.files import Source, connection
from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.answering import while_it_answers
from matriarch_agent.postgres.durable import sync
from matriarch_agent.postgres.place import Place

_IN_THE_WAY = re.compile(r'directory "(.+)" exists but is not empty')


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
    try:
        await while_it_answers(place, source, programs.check(argv, place.environment()))
    except ProgramFailed as error:
        raise _explained(error, target) from error
    # By a program of its own, since it needs no source any more.
    await sync(place, target)


def _explained(error: ProgramFailed, target: Path) -> ProgramFailed:
    """A tablespace outside the data directory has one place only, where the data that is to be replaced has its files
    still. They are not removed before the copy is complete (rule 5), and so never by us."""
    found = _IN_THE_WAY.search(str(error))
    if found is None or found[1] == str(target):
        return error
    return ProgramFailed(
        f"the tablespace directory {found[1]} is not empty here: when it holds nothing but files of the data that this "
        "copy is to replace, or of a copy that was broken off, empty it by hand"
    )
