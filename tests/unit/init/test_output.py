"""The log: a reader that stands still, or is gone, holds neither init nor the agent up."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from matriarch_agent import init
from matriarch_agent.init.output import Output

LINES = 4000
TALKERS = {
    "init": "from matriarch_agent.init.log import log\nsay = lambda text: log('info', text)",
    "agent": "from matriarch_agent.logs import logger\nsay = logger('demo-0')",
    "libraries": "import logging\nfrom matriarch_agent.logs import configure\nconfigure()\nsay = logging.warning",
}


def talking(who: str, output: int, told: int) -> subprocess.Popen[bytes]:
    """A process whose log goes to `output`; when all is said it writes a byte to `told`."""
    program = f"import os\n{TALKERS[who]}\nfor _ in range({LINES}):\n    say('something happened')\n"
    program += f"os.write({told}, b'!')\nos.read(0, 1)\nsay('at last')"
    root = str(Path(init.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        pass_fds=(told,),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
    )


@pytest.mark.parametrize("who", TALKERS)
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_log_that_nobody_reads_holds_nobody_up(who: str, kind: str) -> None:
    reader, writer = os.pipe() if kind == "pipe" else (end.detach() for end in socket.socketpair())
    heard, told = os.pipe()
    process = talking(who, writer, told)
    os.close(writer)
    os.close(told)
    try:
        assert select.select([heard], [], [], 10)[0], "it waited for its log's reader"
        os.set_blocking(reader, False)
        text = os.read(reader, 1 << 22)
        assert text.count(b"something happened") > 20, "what had room is there"
        process.communicate(b"\n", timeout=20)
        lines = (text + os.read(reader, 1 << 22)).splitlines()
        assert b"at last" in lines[-1]
        if who != "libraries":
            told_lost = json.loads(lines[-1])["lost"]
            assert told_lost > 100 and all(json.loads(line) for line in lines), "whole lines, and how many are missing"
    finally:
        for descriptor in (reader, heard):
            os.close(descriptor)
        process.kill()
        process.communicate()


@pytest.mark.parametrize("who", ["init", "agent"])
def test_a_log_in_a_file_is_not_written_over(who: str, tmp_path: Path) -> None:
    """Others write to the same file, each where the last one ended."""
    path = tmp_path / "log"
    heard, told = os.pipe()
    with open(path, "wb") as file:
        file.write(b"before\n")
        file.flush()
        process = talking(who, file.fileno(), told)
        process.communicate(b"\n", timeout=20)
        os.write(file.fileno(), b"after\n")
    os.close(heard)
    os.close(told)
    lines = path.read_bytes().splitlines()
    assert (lines[0], lines[-1], len(lines)) == (b"before", b"after", LINES + 3)


def test_a_log_that_is_closed_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    heard, told = os.pipe()
    process = talking("agent", writer, told)
    os.close(writer)
    os.close(told)
    process.communicate(b"\n", timeout=20)
    assert process.returncode == 0 and os.read(heard, 1) == b"!"
    os.close(heard)


def test_a_long_line_that_finds_room_for_its_beginning_spoils_no_other() -> None:
    reader, writer = os.pipe()
    output, told = Output(writer), 0
    while not output.lost:
        output.write(b"x" * 50_000 + b"\n")
        told += 1
    text = os.read(reader, 1 << 22)
    output.write(b"at last\n")
    lines = (text + os.read(reader, 1 << 22)).splitlines()
    assert lines[: told - 1] == [b"x" * 50_000] * (told - 1) and lines[-1] == b"at last" and output.lost == 0
    os.close(reader)
    os.close(writer)
