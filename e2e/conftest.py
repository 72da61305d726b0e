"""Fixtures: one Kubernetes cluster and one operator per process of the run, one namespace per file.

`-n auto` runs as many processes as the provider has clusters for. MATRIARCH_KEEP=1 leaves a cluster of localkube or
kind running for a look around.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e import diagnostics, images
from e2e.cluster import ClusterProvider, choose
from e2e.cluster.choose import CACHE
from e2e.figures import Figures
from e2e.kubectl import Helm, Kubectl
from e2e.operator_release import OperatorRelease
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import CommandFailed, TimedOut

NEEDS = "needs"
LONGEST = (
    "test_patroni_clients",
    "test_rest_api",
    "test_delete",
    "test_api_outage",
    "test_move_from_patroni",
    "test_bad_network",
    "test_standby_cluster",
    "test_patroni_standby",
)
"""Files that take longest, in that order. A process that began one of them last would keep the others waiting; and
beside the first one, which starts patronictl by the hundred, comes what measures no handover."""
FIGURES = pytest.StashKey[Figures]()
ENDED = "figures"
"""What a process of a parallel run hands to the one that prints."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(fault): the provider must be able to inject this fault")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a cluster whose nodes are not ours, tests of node faults are left out and counted as deselected. Files that
    take long come first."""
    here = [item for item in items if "e2e" in item.nodeid.split("/")[0] and "localkube" not in item.nodeid]
    for item in here:
        item.add_marker(pytest.mark.e2e)
    faults = choose().faults
    away = {item for item in here for mark in item.iter_markers(NEEDS) if mark.args[0] not in faults}
    if away:
        config.hook.pytest_deselected(items=list(away))
        items[:] = [item for item in items if item not in away]
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: each process has a cluster of its own."""
    return min(choose().at_once, os.cpu_count() or 1)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Processes of a parallel run build and install what is missing one after the other: the second finds it there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def provider() -> Iterator[ClusterProvider]:
    """A running cluster; it is gone after the run."""
    chosen = choose()
    keep = os.environ.get("MATRIARCH_KEEP") == "1"
    try:
        with one_at_a_time():
            chosen.up()
        yield chosen
    finally:
        if not keep:
            chosen.down()


@pytest.fixture(scope="session")
def kubectl(provider: ClusterProvider) -> Kubectl:
    return Kubectl(provider.env)


@pytest.fixture(scope="session")
def helm(provider: ClusterProvider) -> Helm:
    return Helm(provider.env)


@pytest.fixture(scope="session")
def loaded(provider: ClusterProvider) -> None:
    """Our images are on every node."""
    with one_at_a_time():
        archives = images.build(provider)
    provider.load(archives)


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl, helm: Helm, loaded: None) -> Iterator[OperatorRelease]:
    """The operator, installed by Helm."""
    release = OperatorRelease(kubectl, helm)
    release.install()
    yield release
    if choose().name == "existing":
        release.uninstall()


@pytest.fixture(scope="module")
def namespace(request: pytest.FixtureRequest, kubectl: Kubectl, operator: OperatorRelease) -> Iterator[str]:
    """A namespace for this file; it is deleted afterwards without waiting."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.rpartition(".")[2].removeprefix("test_"))
    name = f"e2e-{stem}"
    kubectl.drop_namespace(name, wait=True)
    kubectl.make_namespace(name)
    yield name
    for pgc in kubectl.items("matriarch.dev/v1", "postgresclusters", namespace=name):
        PostgresCluster(kubectl, name, pgc["metadata"]["name"]).delete()
    kubectl.drop_namespace(name)


@pytest.fixture(scope="session")
def shared(kubectl: Kubectl, operator: OperatorRelease) -> Iterator[PostgresCluster]:
    """A cluster with default settings that fault tests of several files break one after another."""
    cluster = PostgresCluster(kubectl, "e2e-shared", "demo")
    make_afresh(cluster)
    yield cluster
    cluster.delete()
    kubectl.drop_namespace(cluster.namespace)


def make_afresh(cluster: PostgresCluster) -> None:
    """In a new namespace, with default settings."""
    cluster.kubectl.drop_namespace(cluster.namespace, wait=True)
    cluster.kubectl.make_namespace(cluster.namespace)
    cluster.apply()
    cluster.wait_healthy(within=90)


@pytest.fixture
def healthy(shared: PostgresCluster, request: pytest.FixtureRequest) -> Iterator[PostgresCluster]:
    """The shared cluster, whole. A test that leaves it broken fails, and the next one gets a new cluster."""
    shared.wait_healthy(within=30)
    shared.wait_routed()
    yield shared
    try:
        shared.wait_healthy(within=60)
    except TimedOut:
        diagnostics.dump(shared.kubectl, [shared.namespace], f"{request.node.nodeid}-afterwards")
        make_afresh(shared)
        raise


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """What the probes measured; printed at the end of the run."""
    found: Figures = request.config.stash.setdefault(FIGURES, Figures())
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of a parallel run has ended: take over what it measured."""
    found: Figures = node.config.stash.setdefault(FIGURES, Figures())
    found.take(getattr(node, "workeroutput", {}).get(ENDED, []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of a parallel run: hand on what was measured."""
    output, found = getattr(session.config, "workeroutput", None), session.config.stash.get(FIGURES, None)
    if output is not None and found is not None:
        output[ENDED] = found.plain()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(FIGURES, None)
    if found is not None and found.all:
        terminalreporter.section("longest time without an acknowledged write")
        for line in found.lines():
            terminalreporter.write_line(line)
        found.save()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when in ("setup", "call") and hasattr(item, "funcargs"):
        kubectl = item.funcargs.get("kubectl") or getattr(item.funcargs.get("healthy"), "kubectl", None)
        if isinstance(kubectl, Kubectl):
            try:
                folder = diagnostics.dump(kubectl, diagnostics.clusters(kubectl), item.nodeid)
                report.sections.append(("what the cluster looked like", str(folder)))
            except CommandFailed as error:
                report.sections.append(("no look at the cluster was possible", str(error)))
    return report
