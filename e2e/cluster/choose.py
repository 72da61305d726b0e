"""Which provider: the cluster that the user names, kind where Docker is, else localkube."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.cluster.existing import ExistingCluster
from e2e.cluster.kind import KindCluster, docker_engine_answers
from e2e.cluster.localkube import LocalKube
from e2e.cluster.provider import ClusterProvider

WORKER = "PYTEST_XDIST_WORKER"
FIRST_WORKER = "gw0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "matriarch"


def choose(
    environ: Mapping[str, str] = os.environ,
    docker: Callable[[], bool] = docker_engine_answers,
    which: Callable[[str], str | None] = shutil.which,
) -> ClusterProvider:
    """The first that applies; nothing is started yet."""
    kubeconfig = environ.get("MATRIARCH_KUBECONFIG")
    if kubeconfig:
        return ExistingCluster(kubeconfig)
    if which("kind") is not None and docker():
        return KindCluster(CACHE)
    return LocalKube(environ.get("MATRIARCH_LOCALKUBE", "localkube") + _suffix(environ.get(WORKER)))


def _suffix(worker: str | None) -> str:
    """Every process of a parallel run but the first has an instance of its own."""
    return "" if worker in (None, FIRST_WORKER) else f"-{worker}"
