"""Making a diverged member's data match its new upstream's by pg_rewind."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matriarch.config.files import Source, connection
from matriarch.words.errors import ProgramFailed
from matriarch.words.lsn import parse_lsn
from matriarch_agent.files import remove_file
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.answering import while_it_answers
from matriarch_agent.postgres.controldata import read_control
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.durable import sync
from matriarch_agent.postgres.place import Place

_DIVERGED = re.compile(r"servers diverged at WAL location (\S+) on timeline (\d+)")
_WRITING = "rewinding from last common checkpoint"
"""It writes nothing before it has said so."""
_RECOVERY_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Rewound:
    """What a rewind dropped: the WAL of this member between the fork and its end."""

    fork_lsn: int
    end_lsn: int
    dropped_bytes: int


async def rewind(place: Place, directory: DataDirectory, source: Source, options: tuple[str, ...] = ()) -> Rewound:
    """Run crash recovery when it is due, then pg_rewind. The server is stopped, and stays so.

    Raises PostgresError. `directory.half_rewound` then tells whether anything was written, as it does when this was
    cancelled.
    """
    if directory.half_rewound:
        raise ProgramFailed("an earlier rewind was interrupted: the data has to be copied anew")
    await _recover(place)
    end = (await read_control(place)).data.checkpoint_lsn
    argv = [
        place.program("pg_rewind"),
        f"--target-pgdata={place.pgdata}",
        f"--source-server={connection(source, application_name=f'{place.member}-rewind')}",
        "--no-sync",
        *options,
    ]
    output = await _noted(place, directory, source, argv)
    said = f"{output.stdout}\n{output.stderr}"
    if output.status != 0:
        raise ProgramFailed(f"pg_rewind ended with status {output.status}: {said.strip()[-2000:]}")
    fork = _DIVERGED.search(said)
    if fork is None or "no rewind required" in said:
        # It compares timelines by number and start only; two members' timelines may agree in both and yet differ.
        raise ProgramFailed("pg_rewind sees no divergence, so it cannot remove the one that was found")
    fork_lsn = parse_lsn(fork[1])
    return Rewound(fork_lsn, end, max(0, end - fork_lsn))


async def _noted(place: Place, directory: DataDirectory, source: Source, argv: list[str]) -> programs.Output:
    """Run pg_rewind, and bring to the disk what it wrote: by a program of its own, since the source is not needed for
    that. A marker stays where it may have written and did not end well, also when the agent or the machine stops
    meanwhile; and goes, on cancellation too, when it had not yet said that it comes to that."""
    directory.note_rewind(True)
    said, well = programs.Said(), False
    try:
        output = await while_it_answers(place, source, programs.run(argv, place.environment(), said=said))
        if output.status == 0 and _wrote(said):
            await sync(place, place.pgdata)
            well = True
    finally:
        if well or not _wrote(said):
            directory.note_rewind(False)
    return output


def _wrote(said: programs.Said) -> bool:
    return _WRITING in said.stdout or _WRITING in said.stderr


async def _recover(place: Place) -> None:
    """Crash recovery in single-user mode, so that the end of this member's WAL is known and pg_rewind finds a clean
    directory."""
    for name in ("standby.signal", "recovery.signal", "postmaster.pid"):
        remove_file(place.pgdata / name, durable=False)
    if (await read_control(place)).data.clean:
        return
    argv = [place.program("postgres"), "--single", "-D", str(place.pgdata), "-c", "archive_mode=off"]
    argv += ["-c", "max_prepared_transactions=1000", "-c", "shared_preload_libraries=", "template1"]
    await programs.check(argv, place.environment(), stdin="", timeout=_RECOVERY_WITHIN_S)
