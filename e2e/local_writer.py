"""A session on an isolated node, straight to the primary there: what does it see acknowledged, and what is kept?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.cluster import ClusterProvider
from e2e.postgres_cluster import PostgresCluster
from e2e.probe.local import TABLE
from e2e.probe.process import ProbeFailed
from e2e.shell import ROOT


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """Rows acknowledged (number, wall-clock seconds) and why it ended."""

    acknowledged: list[tuple[int, float]]
    ended: str

    def missing(self, cluster: PostgresCluster) -> list[int]:
        """Acknowledged rows that the cluster does not have now."""
        there = {row[0] for row in cluster.sql(f"select n from {TABLE}")}
        return sorted({number for number, _ in self.acknowledged} - there)


class LocalWriter:
    """Started before the partition, inside the node's network; runs for `seconds`."""

    def __init__(self, provider: ClusterProvider, cluster: PostgresCluster, member: str, seconds: float) -> None:
        target = cluster.target()
        self._folder = tempfile.TemporaryDirectory(prefix="matriarch-local-")
        self._out = Path(self._folder.name) / "answer.json"
        argv = [sys.executable, "-m", "e2e.probe.local", "--host", cluster.address(member), "--user", target.user]
        argv += ["--dbname", target.dbname, "--seconds", str(seconds), "--out", str(self._out)]
        self._argv = provider.node_command(cluster.node(member), argv)
        self._env = os.environ | {"PGPASSWORD": target.password, "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, cwd=ROOT, env=self._env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            _, errors = self._process.communicate(timeout=10)
            raise ProbeFailed(f"the local session did not start: {errors[-1000:]}")
        return self

    def answer(self, timeout: float) -> LocalAnswer:
        """Wait for its end. `timeout` in seconds."""
        assert self._process is not None
        _, errors = self._process.communicate(timeout=timeout)
        if not self._out.exists():
            raise ProbeFailed(f"the local session failed: {errors[-1000:]}")
        found = json.loads(self._out.read_text())
        return LocalAnswer([(number, at) for number, at in found["acknowledged"]], found["ended"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
                self._process.communicate()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        self._folder.cleanup()
