"""A Prometheus that scrapes a cluster."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
import yaml

from e2e.shell import CommandFailed, NotYet, run


class Prometheus:
    """Runs while the block lasts. `targets`: `host:port` of the members' REST API."""

    def __init__(self, targets: Sequence[str]) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise CommandFailed("prometheus is not installed: `make packages`")
        self._folder = Path(tempfile.mkdtemp(prefix="matriarch-prometheus-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/api/v1"
        scrape = {"job_name": "patroni", "scrape_interval": "1s", "static_configs": [{"targets": list(targets)}]}
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
        self._argv = [
            program,
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log, cwd=self._folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector. Raises NotYet while it does not answer."""
        try:
            reply = requests.get(f"{self._url}/query", params={"query": expression}, timeout=5)
            found = reply.json()
        except (requests.RequestException, ValueError) as error:
            raise NotYet(f"Prometheus: {error}") from error
        if found.get("status") != "success":
            raise NotYet(f"Prometheus: {found}")
        vector: list[dict[str, Any]] = found["data"]["result"]
        return vector

    def values(self, metric: str, *, label: str = "name") -> dict[str, float]:
        """A metric's last values by a label."""
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(metric)}


def check_metrics(text: str) -> str:
    """What `promtool check metrics` has to say; nothing when it is content. Raises CommandFailed otherwise."""
    return run(["promtool", "check", "metrics"], text_in=text)
