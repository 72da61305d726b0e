"""The probe against a real server: it measures an outage, counts what is lost, and is not fooled by a hanging one."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from component.scratch import scratch
from e2e.ports import free_port
from e2e.probe.process import Probe, Target
from e2e.probe.writers import TABLE
from e2e.shell import ROOT

pytestmark = pytest.mark.component


class Server:
    """A throw-away server on loopback, run by the system's `postgres` user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name))
        self.port = free_port()
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "--no-sync")

    def _run(self, program: str, *args: str) -> None:
        argv = ["runuser", "-u", "postgres", "--", str(self.binaries / program), *args]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        self._run(
            "pg_ctl", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def postmaster(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    def signal_all(self, name: signal.Signals) -> None:
        """To the postmaster and its children: a server that hangs as a whole."""
        postmaster = self.postmaster()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            os.kill(pid, name)

    def target(self) -> Target:
        return Target("127.0.0.1", "postgres", "", "postgres", self.port)


@pytest.fixture
def server() -> Iterator[Server]:
    folder = scratch("matriarch-component-")
    folder.chmod(0o755)
    found = Server(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder)


def test_an_outage_is_measured_and_nothing_is_lost(server: Server) -> None:
    with Probe(server.target()) as probe:
        time.sleep(1.0)
        began = time.monotonic()
        server.stop()
        time.sleep(1.0)
        server.start()
        away = time.monotonic() - began
        time.sleep(1.0)
        report = probe.finish()
    report.assert_nothing_lost()
    report.assert_writing_again()
    assert 1.0 < report.longest_gap_s < away + 1.0
    assert report.errors


def test_a_hanging_server_is_not_waited_for(server: Server) -> None:
    with Probe(server.target()) as probe:
        time.sleep(1.0)
        began = time.monotonic()
        server.signal_all(signal.SIGSTOP)
        time.sleep(2.5)
        server.signal_all(signal.SIGCONT)
        away = time.monotonic() - began
        time.sleep(1.5)
        report = probe.finish()
    report.assert_nothing_lost()
    assert 2.3 < report.longest_gap_s < away + 1.0


def test_a_lost_row_is_found(server: Server) -> None:
    with Probe(server.target()) as probe:
        time.sleep(1.0)
        with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", autocommit=True) as connection:
            deleted = connection.execute(f"delete from {TABLE} where w in (3, 4)").rowcount
        report = probe.finish()
    # A row that was written and acknowledged too late for its writer counts as an error, and is not missed.
    assert report.lost is not None and 0 < deleted <= report.lost + sum(report.errors.values())
    with pytest.raises(AssertionError, match="acknowledged rows are missing"):
        report.assert_nothing_lost()


def test_the_local_session_says_what_it_saw(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "answer.json"
    argv = [sys.executable, "-m", "e2e.probe.local", "--host", "127.0.0.1", "--port", str(server.port)]
    argv += ["--user", "postgres", "--dbname", "postgres", "--seconds", "10", "--out", str(out)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline().strip() == "ready"
        time.sleep(0.7)
        server.stop()
        assert writer.wait(timeout=10) == 0
    server.start()
    found = json.loads(out.read_text())
    assert found["ended"] != "time over"
    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres") as connection:
        rows = {row[0] for row in connection.execute("select n from matriarch_probe_local")}
    assert {number for number, _ in found["acknowledged"]} <= rows
