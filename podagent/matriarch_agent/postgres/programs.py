"""Running Postgres' programs: with a bounded life, killed when the caller is cancelled, told apart by their output."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from matriarch.words.errors import ProgramFailed

_TAIL = 2000
"""Characters of output in an error."""
_FIRST_KEPT, _LAST_KEPT = 256 * 1024, 64 * 1024
"""Bytes of each output that are kept."""
DRAIN_S = 0.5
"""Seconds for the rest of the output of a program that has ended."""
KILL_WITHIN_S = 1.0
"""Seconds for the end of a program that was killed."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed, and how it ended."""

    status: int
    stdout: str
    stderr: str


class Said(asyncio.SubprocessProtocol):
    """What a program has printed until now: the beginning and the end, when it is very much."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        """Nobody has its output open any more, neither it nor what it started."""
        self._open = {1, 2}
        self._first = {1: bytearray(), 2: bytearray()}
        self._last = {1: bytearray(), 2: bytearray()}
        self._cut: set[int] = set()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Called by asyncio."""
        first, last = self._first[fd], self._last[fd]
        room = _FIRST_KEPT - len(first)
        first += data[:room]
        last += data[room:] if room < len(data) else b""
        if len(last) > _LAST_KEPT:
            self._cut.add(fd)
            del last[:-_LAST_KEPT]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._open.discard(fd)
        if not self._open:
            self.closed.set()

    def process_exited(self) -> None:
        """Called by asyncio."""
        self.exited.set()

    @property
    def stdout(self) -> str:
        """What went to standard output."""
        return self._text(1)

    @property
    def stderr(self) -> str:
        """What went to standard error."""
        return self._text(2)

    def _text(self, fd: int) -> str:
        between = b"\n[...]\n" if fd in self._cut else b""
        return (self._first[fd] + between + self._last[fd]).decode(errors="replace")


async def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: str | None = None,
    timeout: float | None = None,
    cwd: Path | None = None,
    said: Said | None = None,
) -> Output:
    """Run a program to its end. Raises ProgramFailed when it cannot be executed or takes longer than `timeout` seconds.

    It runs in a process group of its own, which is killed on cancellation, and when the program has ended: what it left
    running in the background has no say any more. The volume's lock goes along, so that a program that survives this
    container still keeps another from the volume. `said`: where to note what it prints, as it comes.
    """
    heard = Said() if said is None else said
    try:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: heard,
            *argv,
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            process_group=0,
            umask=0o077,
            pass_fds=_lock_descriptor(),
        )
    except OSError as error:
        raise ProgramFailed(f"{argv[0]} cannot be executed: {error.strerror}") from error
    try:
        if stdin is not None:
            feed = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
            feed.write(stdin.encode())
            feed.close()
        async with asyncio.timeout(timeout):
            await heard.exited.wait()
        await _drained(heard)
    except TimeoutError as error:
        raise ProgramFailed(f"{os.path.basename(argv[0])} took longer than {timeout} s") from error
    finally:
        await _ended(transport, heard)
    return Output(transport.get_returncode() or 0, heard.stdout, heard.stderr)


async def _drained(heard: Said) -> None:
    """Hear the rest. What the program started may have its output too, and is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            await heard.closed.wait()


async def _ended(transport: asyncio.SubprocessTransport, heard: Said) -> None:
    """Nothing of the program goes on. One that hangs in the kernel cannot even be killed: it is not waited for, and
    reaped whenever it ends."""
    try:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        if not heard.exited.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_WITHIN_S):
                    await heard.exited.wait()
                    await heard.closed.wait()
    finally:
        transport.close()


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
