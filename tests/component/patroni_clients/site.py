"""A cluster without Kubernetes: real init, agent and Postgres processes, each member on a loopback address of its own.

The API server is the fake one, over HTTP; it runs in a thread, so that tests may call programs and wait for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from component.postgres.member import SECRETS, programs
from component.postgres.unprivileged import as_postgres, postgres_user
from component.scratch import scratch
from e2e.shell import ROOT

from matriarch.kube.api import ENDPOINTS, PODS, Object
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_http import serve
from matriarch.words import labels, names

NAMESPACE, CLUSTER = "default", "demo"
SETTINGS: dict[str, Any] = {
    "ttl": 9,
    "loop_wait": 3,
    "retry_timeout": 3,
    "synchronous_mode": True,
    "failsafe_mode": True,
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {"max_connections": "40", "shared_buffers": "16MB"},
        "pg_hba": ["host all all 127.0.0.0/8 scram-sha-256"],
    },
}
TERMINATED_WITHIN_S = 30.0
"""What a pod is given by default."""
T = TypeVar("T")


class Site:
    """`count` members; `rest` is what the agents are told of their REST API, its Secrets below `folder`/rest."""

    def __init__(self, count: int = 3, rest: Mapping[str, Any] | None = None) -> None:
        self.folder = scratch("matriarch-clients-")
        os.chown(self.folder, postgres_user().pw_uid, -1)
        self.names = [f"{CLUSTER}-{ordinal}" for ordinal in range(count)]
        # Ports are fixed, so each run has a network of its own in the loopback's sixteen million addresses.
        self.addresses = {
            name: f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 250}.{number + 1}"
            for number, name in enumerate(self.names)
        }
        self._rest = rest
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._inits: dict[str, subprocess.Popen[bytes]] = {}
        self._uids: dict[str, str] = {}
        """Of the members' pods, as the API server gave them."""
        self._stop = asyncio.Event()
        self.api = ""

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything runs; nobody has been waited for."""
        self._thread.start()
        started = threading.Event()
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(started), self._loop)
        if not started.wait(20):
            raise TimeoutError("the API server does not start")
        user = {"name": "x", "user": {}}
        context = {"name": "x", "context": {"cluster": "x", "user": "x", "namespace": NAMESPACE}}
        clusters = [{"name": "x", "cluster": {"server": self.api}}]
        config = {"current-context": "x", "clusters": clusters, "users": [user], "contexts": [context]}
        self.kubeconfig.write_text(yaml.safe_dump(config))
        for name in self.names:
            self.start_member(name)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def start_member(self, name: str) -> None:
        """init, and with it the agent."""
        home = self.folder / name
        with as_postgres():
            for part in ("volume", "run"):
                (home / part).mkdir(parents=True, exist_ok=True)
            for kind, (username, password) in SECRETS.items():
                (home / "secrets" / kind).mkdir(parents=True, exist_ok=True)
                (home / "secrets" / kind / "username").write_text(username)
                (home / "secrets" / kind / "password").write_text(password)
            argv = [
                sys.executable,
                "-m",
                "matriarch_agent.init",
                sys.executable,
                "-m",
                "component.patroni_clients.agent",
            ]
            with open(home / "log", "ab") as log:
                self._inits[name] = subprocess.Popen(
                    argv, env=self._environment(name, home), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )

    def _environment(self, name: str, home: Path) -> dict[str, str]:
        address = self.addresses[name]
        found = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "MATRIARCH_CLUSTER": CLUSTER,
            "MATRIARCH_NAMESPACE": NAMESPACE,
            "MATRIARCH_MEMBER": name,
            "MATRIARCH_POD_IP": address,
            "MATRIARCH_POD_UID": self._uids[name],
            "MATRIARCH_NODE": "here",
            "MATRIARCH_REST_HOST": address,
            "MATRIARCH_DATA": str(home / "volume"),
            "MATRIARCH_RUN": str(home / "run"),
            "MATRIARCH_SECRETS": str(home / "secrets"),
            "MATRIARCH_PG_BIN": str(programs()),
            "TEST_API_SERVER": self.api,
            "TEST_POSTGRES_LOG": str(home / "postgres.log"),
        }
        if self._rest is not None:
            found |= {"MATRIARCH_REST": json.dumps(self._rest), "MATRIARCH_REST_SECRETS": str(self.folder / "rest")}
        return found

    def kill_member(self, name: str) -> None:
        """Its container ends at once: init, agent and Postgres."""
        init = self._inits.pop(name)
        with as_postgres():
            init.send_signal(signal.SIGKILL)
        init.wait()

    def end(self) -> None:
        """Leave nothing alive, and nothing behind. Fails when a member does not end by itself."""
        for init in self._inits.values():
            init.send_signal(signal.SIGTERM)
        stuck = [name for name, init in self._inits.items() if not _ended(init)]
        logs = self.logs() if stuck else ""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._serving.result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not stuck, f"{stuck} had to be killed\n{logs}"

    def logs(self) -> str:
        """The end of what every member said."""
        return "\n".join(f"--- {name}\n" + _tail(self.folder / name / "log") for name in self.names)

    # --- the API server -------------------------------------------------------------------------------------------

    async def _serve(self, started: threading.Event) -> None:
        self.server = FakeKubeServer()
        for name, address in self.addresses.items():
            pod = self.server.store.seed(PODS, NAMESPACE, _pod(name, address))
            self._uids[name] = str(pod["metadata"]["uid"])
        for name, notes in (
            (CLUSTER, {}),
            (names.config_object(CLUSTER), {"config": json.dumps(SETTINGS, separators=(",", ":"))}),
            (names.failover_object(CLUSTER), {}),
            (names.sync_object(CLUSTER), {}),
        ):
            metadata = {"name": name, "namespace": NAMESPACE, "annotations": notes}
            body = {"metadata": {**metadata, "labels": labels.cluster_labels(CLUSTER)}}
            self.server.store.seed(ENDPOINTS, NAMESPACE, body)
        async with serve(self.server) as address:
            self.api = address
            started.set()
            await self._stop.wait()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the API server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def endpoints(self, name: str) -> Object:
        """An Endpoints object."""
        return self.call(self.server.client("test").get(ENDPOINTS, NAMESPACE, name))


def _pod(name: str, address: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels.cluster_labels(CLUSTER),
            "annotations": {},
        },
        "spec": {"nodeName": "here", "containers": [{"name": "postgres", "image": "x"}]},
        "status": {"podIP": address, "phase": "Running"},
    }


def _ended(init: subprocess.Popen[bytes]) -> bool:
    """Wait for the end that it was asked for; kill it when that does not come."""
    try:
        init.wait(TERMINATED_WITHIN_S)
    except subprocess.TimeoutExpired:
        init.kill()
        init.wait()
        return False
    return True


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-6000:] if file.exists() else "(nothing)"
