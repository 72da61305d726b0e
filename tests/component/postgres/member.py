"""A member for tests: a real init with a stand-in for the agent's process, and the adapter in this process."""

from __future__ import annotations

import asyncio
import atexit
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from component.postgres.unprivileged import postgres_user
from component.scratch import scratch
from e2e.ports import free_port

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Upstream
from matriarch.words.errors import MatriarchError
from matriarch_agent.init.client import InitClient
from matriarch_agent.ports import StartMode
from matriarch_agent.postgres.local import LocalPostgres
from matriarch_agent.postgres.place import Place

IDLE_AGENT = ("sleep", "1000000")
SECRETS = {
    "superuser": ("postgres", "su'per \\pass"),
    "replication": ("replicator", "re:pl\\ic'ation"),
    "app": ("app", "åpp pass"),
}
QUICK = ClusterSettings(parameters={"shared_buffers": "16MB", "max_connections": 30})


def programs() -> Path:
    """The newest server on this machine, or the one in MATRIARCH_PG_BIN."""
    if os.environ.get("MATRIARCH_PG_BIN"):
        return Path(os.environ["MATRIARCH_PG_BIN"])
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    assert found, "no PostgreSQL server on this machine: `make component` installs one"
    return Path(found[-1]).parent


def major() -> int:
    """The major version of the server that tests use."""
    found = subprocess.run([programs() / "postgres", "--version"], check=True, capture_output=True, text=True)
    return int(re.split(r"[ .]", found.stdout.split(") ")[1])[0])


async def eventually(check: Callable[[], bool], within: float = 15.0) -> None:
    """Wait until something holds; TimeoutError names what did not."""
    try:
        async with asyncio.timeout(within):
            while True:
                if check():
                    return
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise TimeoutError(f"not within {within} s: {check}") from error


def children_of(pid: int) -> list[int]:
    """Direct children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_kb(pid: int) -> int:
    """Memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


class Member:
    """One member with folders of its own. Use inside `as_postgres`."""

    def __init__(self, base: Path, name: str, agent: Sequence[str] = IDLE_AGENT, **bootstrap: object) -> None:
        self.base = base / name
        self.name = name
        self.logged: list[dict[str, Any]] = []
        for folder in ("volume", "run"):
            (self.base / folder).mkdir(parents=True)
        for kind, (username, password) in SECRETS.items():
            folder = self.base / "secrets" / kind
            folder.mkdir(parents=True)
            (folder / "username").write_text(username)
            (folder / "password").write_text(password)
        self.place = Place(
            member=name,
            cluster="demo",
            volume=self.base / "volume",
            run=self.base / "run",
            secrets=self.base / "secrets",
            programs=programs(),
            port=free_port(),
            listen="127.0.0.1",
            bootstrap=bootstrap,
            log_file=str(self.base / "postgres.log"),
        )
        self.agent_argv = tuple(agent)
        self.start_init()
        self.init = InitClient(self.place.init_socket)
        self.postgres = LocalPostgres(self.place, self.init, self._log)

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.name, "127.0.0.1", self.place.port)

    def start_init(self) -> None:
        env = {
            **os.environ,
            "MATRIARCH_DATA": str(self.place.volume),
            "MATRIARCH_RUN": str(self.place.run),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with open(self.base / "init.log", "ab") as log:
            argv = [sys.executable, "-m", "matriarch_agent.init", *self.agent_argv]
            self.process = subprocess.Popen(argv, env=env, stderr=log, stdout=log, stdin=subprocess.DEVNULL)

    async def ready(self) -> Member:
        """Wait until init answers."""
        async with asyncio.timeout(15):
            while True:
                with suppress(MatriarchError):
                    await self.init.status()
                    return self
                await asyncio.sleep(0.02)

    def init_log(self) -> list[dict[str, Any]]:
        lines = (self.base / "init.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def sql(self, text: str) -> Any:
        """The first column of the first row, as the superuser."""
        rows = await self.postgres._session.rows(text, timeout=10.0)
        return rows[0][0] if rows else None

    async def end(self) -> None:
        """Leave nothing alive."""
        with suppress(MatriarchError):
            await self.postgres.kill()
        await self.postgres.close()
        await self.init.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.process.wait, 20)
            finally:
                if self.process.poll() is None:
                    self.process.kill()

    def _log(self, event: str, **facts: Any) -> None:
        self.logged.append({"event": event, **facts})


_initialised: list[Path] = []
"""The folder of the data directory that tests start from; made by the first test that needs it."""


@atexit.register
def _forget() -> None:
    for folder in _initialised:
        shutil.rmtree(folder, ignore_errors=True)


class Members:
    """Makes members in a folder of their own and ends them all."""

    def __init__(self) -> None:
        self.base = scratch("matriarch-")
        os.chown(self.base, postgres_user().pw_uid, -1)
        self.made: list[Member] = []

    async def make(self, name: str, agent: Sequence[str] = IDLE_AGENT, **bootstrap: object) -> Member:
        member = Member(self.base, name, agent, **bootstrap)
        self.made.append(member)
        return await member.ready()

    async def primary(self, name: str = "demo-0") -> Member:
        """A running primary, its data copied from one that was initialised once."""
        member = await self.make(name)
        if not _initialised:
            await member.postgres.bootstrap(QUICK, ())
            _initialised.append(scratch("matriarch-data-"))
            shutil.copytree(member.place.pgdata, _initialised[0] / "pgdata")
        elif not member.place.pgdata.exists():
            shutil.copytree(_initialised[0] / "pgdata", member.place.pgdata)
        await member.postgres.start(StartMode(primary=True), QUICK)
        return member

    async def replica(self, of: Member, name: str) -> Member:
        member = await self.make(name)
        await member.postgres.clone(of.upstream, QUICK)
        slot = name.replace("-", "_")
        await of.postgres.sync_slots((slot,), ())
        await member.postgres.start(StartMode(primary=False, upstream=of.upstream), QUICK)
        return member

    async def end(self) -> None:
        for member in self.made:
            await member.end()

    def remove(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
