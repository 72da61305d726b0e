"""A session on an isolated node, straight to the primary there: what does it see acknowledged, and what is kept?"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from e2e.cluster import ClusterProvider
from e2e.postgres_cluster import PostgresCluster
from e2e.probe.child import Child
from e2e.probe.local import TABLE
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
        argv = [sys.executable, "-m", "e2e.probe.local", "--host", cluster.address(member), "--user", target.user]
        argv += ["--dbname", target.dbname, "--seconds", str(seconds)]
        env = {"PGPASSWORD": target.password, "PYTHONPATH": str(ROOT)}
        self._child = Child("the local session", provider.node_command(cluster.node(member), argv), env)

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def answer(self, timeout: float) -> LocalAnswer:
        """Wait for its end. `timeout` in seconds."""
        found = self._child.finish(timeout)
        return LocalAnswer([(number, at) for number, at in found["acknowledged"]], found["ended"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)
