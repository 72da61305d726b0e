"""init's parts that need no process of its own."""

import errno
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch_agent.init import kernel, processes
from matriarch_agent.init.channel import Channel, Client
from matriarch_agent.init.wire import Nonsense, Request, line, request, take_request


def test_init_needs_nothing_but_the_standard_library() -> None:
    root = Path(kernel.__file__).parents[2]
    program = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "import matriarch_agent.init.__main__, matriarch_agent.init.supervisor, matriarch_agent.init.postmaster\n"
        "import matriarch_agent.init.agent, matriarch_agent.init.kernel\n"
        "print(' '.join(sorted(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    modules = set(loaded.stdout.split())
    assert not {"asyncio", "enum", "typing", "json", "collections", "matriarch", "h11", "logging"} & modules
    ours = {name for name in modules if name.startswith("matriarch")}
    assert all(name == "matriarch_agent" or name.startswith("matriarch_agent.init") for name in ours)


def test_the_timer_fires_at_its_moment() -> None:
    timer = kernel.BootTimer()
    poll = select.poll()
    poll.register(timer.fd, select.POLLIN)
    at = kernel.now() + 0.05
    timer.arm(at)
    assert poll.poll(2000)
    assert 0 <= kernel.now() - at < 0.5
    timer.clear()
    assert not poll.poll(0)
    timer.arm(kernel.now() - 5)
    assert poll.poll(2000), "a moment in the past is now"
    timer.clear()
    timer.arm(kernel.now() + 0.05)
    timer.arm(None)
    assert not poll.poll(150)
    os.close(timer.fd)


def test_spawn_reports_what_cannot_be_executed() -> None:
    with pytest.raises(FileNotFoundError):
        processes.spawn(["/no/such/program"], {})


@pytest.mark.parametrize("missing", ["fork", "pipe"])
def test_a_spawn_that_the_kernel_refuses_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Under a limit of processes each attempt took four of init's, until it could open nothing for good."""

    def refuse() -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, missing, refuse)
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            processes.spawn(["true"], {}, log_file=str(tmp_path / "log"))
    assert os.listdir("/proc/self/fd") == before


def test_spawned_programs_lead_a_session_and_have_only_their_environment(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    pid = processes.spawn(["sh", "-c", "env; exit 3"], {"PATH": os.environ["PATH"], "A": "b"}, log_file=out)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    text = Path(out).read_text()
    assert "A=b" in text and "HOME=" not in text
    sleeper = processes.spawn(["sleep", "987"], {"PATH": os.environ["PATH"]})
    assert processes.table()[sleeper].session == sleeper
    assert processes.session_members(sleeper) == [sleeper]
    processes.send(sleeper, 9)
    os.waitpid(sleeper, 0)
    assert sleeper not in processes.table() and not processes.send(sleeper, 9)


def test_holders_of_the_lock_are_found_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(fd, True)
    status = os.fstat(fd)
    lock = processes.VolumeLock(fd, status.st_dev, status.st_ino)
    env = {"PATH": os.environ["PATH"]}
    child = processes.spawn(["sh", "-c", "setsid sleep 987 & wait"], env)
    deadline = time.monotonic() + 10
    while len(found := processes.servers(child, None, lock)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child in found and len(found) == 2 and os.getpid() not in found
    os.set_inheritable(fd, False)
    stranger = processes.spawn(["sleep", "987"], env)
    assert stranger not in processes.servers(child, None, lock)
    assert child not in processes.servers(None, child, lock), "the agent's session is spared"
    for pid in (*found, stranger):
        processes.send(pid, 9)
    for pid in (child, stranger):
        os.waitpid(pid, 0)
    os.close(fd)


def test_a_client_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    poll = select.poll()
    heard: list[Request] = []

    def answer(client: Client, asked: Request) -> None:
        heard.append(asked)
        client.watching = True

    channel = Channel(str(tmp_path / "s"), poll, answer)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.connect(str(tmp_path / "s"))
        hung.sendall(request(1, "watch"))
        while not heard:
            for fd, _ in poll.poll(1000):
                channel.handle(fd)
        began = time.monotonic()
        for _ in range(2000):
            channel.publish({"event": "x" * 1000})
        assert time.monotonic() - began < 5
        assert not channel._clients, "it was dropped, and nobody waited for it"
    channel.close()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_requests_are_read_in_any_pieces(size: int) -> None:
    asked = [("status",), ("start", "", "2", "sleep", "1\n2", "A=b=c", "E=", "L=\udcff\u00e9"), ("lease", "12.5")]
    data, rest, found = b"".join(request(number, *words) for number, words in enumerate(asked)), b"", []
    for at in range(0, len(data), size):
        rest += data[at : at + size]
        while True:
            one, rest = take_request(rest)
            if one is None:
                break
            found.append((one.number, one.verb, *one.words))
    assert found == [(number, *words) for number, words in enumerate(asked)] and rest == b""


@pytest.mark.parametrize(
    "data",
    [
        b":",
        b"-1:",
        b"12345678",
        b"x",
        b"9999999:",
        b"8:0\0status;",
        b"1:0,",
        b"8:x\0status,",
        b"9:-1\0status,",
        b"57:" + b"1" * 50 + b"\0status,",
        "9:\u0661\0status,".encode(),
        b"0:,",
    ],
)
def test_what_is_no_request_is_told_at_once(data: bytes) -> None:
    with pytest.raises(Nonsense):
        take_request(data)
    with pytest.raises(Nonsense):
        request(1, "start", "a\0b")


@given(st.binary(max_size=40))
def test_no_bytes_harm_the_reader(data: bytes) -> None:
    try:
        one, rest = take_request(data)
    except Nonsense:
        return
    assert one is not None or rest == data


@given(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_lines_are_json(told: dict[str, object]) -> None:
    assert json.loads(line({"a": told, **told})) == {"a": told, **told}
    assert line(told).count(b"\n") == 1
