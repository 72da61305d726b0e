"""HAProxy in front of a cluster, with the health checks that people configure for Patroni."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from e2e.shell import CommandFailed

_CONFIGURATION = """\
global
    maxconn 100
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 1s
listen primary
    bind 127.0.0.1:{primary}
    option httpchk OPTIONS /
    http-check expect status 200
    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
listen replicas
    bind 127.0.0.1:{replicas}
    balance roundrobin
    option httpchk HEAD /replica?lag=16MB
    http-check expect status 200
    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


class HAProxy:
    """Runs while the block lasts; `primary` and `replicas` are its ports. `members`: address by name."""

    def __init__(self, members: Mapping[str, str]) -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if program is None:
            raise CommandFailed("haproxy is not installed: `make packages`")
        self.primary, self.replicas = _free_port(), _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="matriarch-haproxy-"))
        servers = [f"    server {name} {address}:5432 check port 8008" for name, address in members.items()]
        text = _CONFIGURATION.format(primary=self.primary, replicas=self.replicas, servers="\n".join(servers))
        (self._folder / "haproxy.cfg").write_text(text)
        self._argv = [program, "-db", "-f", str(self._folder / "haproxy.cfg")]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HAProxy:
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
