"""Programs: heard to their end and no longer, killed with all that they started, and never waited for without limit."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.programs import Said, run

ENV = {"PATH": os.environ["PATH"]}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if check():
                return
            await asyncio.sleep(0.01)


async def gone(said: Said | programs.Output) -> None:
    """Wait until the process whose number was printed has ended and is reaped."""
    await eventually(lambda: not alive(int(said.stdout)))
    await asyncio.sleep(0.1)


async def test_input_goes_in_and_both_outputs_come_back() -> None:
    output = await run(["sh", "-c", "cat; echo problem >&2; exit 3"], ENV, stdin="line\n" * 50_000, timeout=20)
    assert (output.status, output.stdout, output.stderr) == (3, "line\n" * 50_000, "problem\n")
    deaf = await run(["true"], ENV, stdin="x" * 1_000_000, timeout=20)
    assert deaf.status == 0, "it need not read"
    assert (await run(["sh", "-c", "kill -9 $$"], ENV)).status == -signal.SIGKILL


async def test_what_a_program_left_running_is_ended_and_not_waited_for() -> None:
    """A callback that starts `something &`, which has its output open."""
    began = time.monotonic()
    output = await run(["sh", "-c", "sleep 987 & echo $!"], ENV, timeout=20)
    assert time.monotonic() - began < 5 and output.status == 0
    await gone(output)


async def test_nothing_is_left_of_a_program_that_takes_too_long() -> None:
    said = Said()
    with pytest.raises(ProgramFailed, match=r"sh took longer than 2\.0 s"):
        await run(["sh", "-c", "sleep 987 & echo $!; wait"], ENV, timeout=2.0, said=said)
    await gone(said)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(ProgramFailed):
            await run(["sleep", "987"], ENV, timeout=0.01)
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_program_that_cannot_be_killed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs in the kernel, on a volume that does not answer. The agent has to go on deciding."""
    monkeypatch.setattr(os, "killpg", lambda pid, number: None)
    monkeypatch.setattr(programs, "KILL_WITHIN_S", 0.1)
    hung = ["sh", "-c", "trap '' TERM; echo $$; exec sleep 3"]
    said, began = Said(), time.monotonic()
    with pytest.raises(ProgramFailed, match="took longer"):
        await run(hung, ENV, timeout=1.0, said=said)
    assert time.monotonic() - began < 2.3
    await gone(said)
    said = Said()
    task = asyncio.create_task(run(hung, ENV, said=said))
    await eventually(lambda: "\n" in said.stdout)
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1.5
    await gone(said)


async def test_of_very_much_output_the_beginning_and_the_end_are_kept() -> None:
    output = await run(["sh", "-c", "echo first; yes | head -c 3000000; echo; echo last"], ENV, timeout=20)
    assert output.stdout.startswith("first\ny\n") and output.stdout.endswith("last\n") and "[...]" in output.stdout
    assert len(output.stdout) < 400_000


async def test_a_program_that_is_not_there_says_so() -> None:
    with pytest.raises(ProgramFailed, match="/no/such cannot be executed: No such file"):
        await run(["/no/such"], ENV)
