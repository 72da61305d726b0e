"""Running Postgres' programs: with a bounded life, killed when the caller is cancelled, told apart by their output."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from matriarch.words.errors import ProgramFailed

_TAIL = 2000
"""Characters of output in an error."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed, and how it ended."""

    status: int
    stdout: str
    stderr: str


async def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: str | None = None,
    timeout: float | None = None,
    cwd: Path | None = None,
) -> Output:
    """Run a program to its end. Raises ProgramFailed when it cannot be executed or takes longer than `timeout` seconds.

    It runs in a process group of its own, which is killed on cancellation. The volume's lock goes along, so that a
    program that survives this container still keeps another from the volume.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
            umask=0o077,
            pass_fds=_lock_descriptor(),
        )
    except OSError as error:
        raise ProgramFailed(f"{argv[0]} cannot be executed: {error.strerror}") from error
    try:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError as error:
        raise ProgramFailed(f"{os.path.basename(argv[0])} took longer than {timeout} s") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
    return Output(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


async def check(
    argv: Sequence[str], env: Mapping[str, str], *, stdin: str | None = None, timeout: float | None = None
) -> Output:
    """`run`, and ProgramFailed with the end of what it printed when it does not end with status 0."""
    output = await run(argv, env, stdin=stdin, timeout=timeout)
    if output.status != 0:
        said = (output.stderr or output.stdout).strip()[-_TAIL:]
        raise ProgramFailed(f"{os.path.basename(argv[0])} ended with status {output.status}: {said}")
    return output


def _lock_descriptor() -> tuple[int, ...]:
    number = os.environ.get("MATRIARCH_LOCK_FD", "")
    if not number.isdigit():
        return ()
    try:
        os.fstat(int(number))
    except OSError:
        return ()
    return (int(number),)
