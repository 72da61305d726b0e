"""Which provider is taken, and the parts of each that need no cluster."""

from __future__ import annotations

import json

import pytest
from e2e.cluster import choose
from e2e.cluster.existing import ExistingCluster
from e2e.cluster.kind import KindCluster, route_commands
from e2e.cluster.localkube import LocalKube, parse_exports
from e2e.cluster.provider import Fault, FaultUnavailable


def no_program(_: str) -> str | None:
    return None


def has_kind(program: str) -> str | None:
    return f"/usr/bin/{program}"


def test_a_named_cluster_goes_first() -> None:
    chosen = choose({"MATRIARCH_KUBECONFIG": "/k"}, docker=lambda: True, which=has_kind)
    assert isinstance(chosen, ExistingCluster)
    assert chosen.env == {"KUBECONFIG": "/k"}


def test_kind_needs_an_engine_and_not_only_its_client() -> None:
    assert isinstance(choose({}, docker=lambda: True, which=has_kind), KindCluster)
    assert isinstance(choose({}, docker=lambda: False, which=has_kind), LocalKube)
    assert isinstance(choose({}, docker=lambda: True, which=no_program), LocalKube)


def test_processes_of_a_parallel_run_have_clusters_of_their_own() -> None:
    def instance(**environ: str) -> LocalKube:
        found = choose(environ, docker=lambda: False, which=no_program)
        assert isinstance(found, LocalKube)
        return found

    assert instance().instance == instance(PYTEST_XDIST_WORKER="gw0").instance == "localkube"
    second = instance(PYTEST_XDIST_WORKER="gw1", MATRIARCH_LOCALKUBE="mine")
    assert second.instance == "mine-gw1"


def test_an_existing_cluster_is_never_broken() -> None:
    cluster = ExistingCluster("/k")
    assert cluster.faults == frozenset()
    with pytest.raises(FaultUnavailable):
        cluster.partition("node1")
    assert LocalKube.faults == frozenset(Fault)
    assert KindCluster.faults < LocalKube.faults


def test_routes_to_kind_pods_and_services() -> None:
    def node(name: str, address: str, pods: str) -> dict[str, object]:
        addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
        return {"metadata": {"name": name}, "spec": {"podCIDR": pods}, "status": {"addresses": addresses}}

    nodes = {
        "items": [node("k-control-plane", "172.18.0.2", "10.244.0.0/24"), node("k-w", "172.18.0.3", "10.244.1.0/24")]
    }
    assert [command[3:] for command in route_commands(json.loads(json.dumps(nodes)))] == [
        ["10.244.0.0/24", "via", "172.18.0.2"],
        ["10.96.0.0/16", "via", "172.18.0.2"],
        ["10.244.1.0/24", "via", "172.18.0.3"],
    ]


def test_exports_of_localkube(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    text = 'export KUBECONFIG="/state/admin.conf"\n# a remark\nexport PATH=/cache/bin:$PATH\n'
    assert parse_exports(text) == {"KUBECONFIG": "/state/admin.conf", "PATH": "/cache/bin:/usr/bin"}
