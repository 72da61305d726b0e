"""Two faults at once. What is promised for one fault about safety holds for two; only the waiting may be longer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.operator_release import OperatorRelease
from e2e.ordeal import BY_LEASE_S, LEASE_S, SEEN_S, ordeal
from e2e.postgres_cluster import IDENTITY, PostgresCluster
from e2e.processes import Processes
from e2e.shell import NotYet, eventually

PAUSE_S = 12.0


@pytest.mark.needs(Fault.API_PAUSE)
def test_postgres_killed_while_the_api_server_hangs(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    """The agent lives and every member accepts its primary: it starts Postgres again and goes on."""
    primary = healthy.primary()
    processes = Processes(healthy, primary)
    with ordeal(healthy, figures, "Postgres killed while the API hangs", within=LEASE_S):
        processes.signal_later(processes.postmaster(), "KILL", 5.0)
        provider.api_pause()
        try:
            time.sleep(PAUSE_S)
        finally:
            provider.api_resume()
    assert healthy.primary() == primary


@pytest.mark.needs(Fault.API_PAUSE)
@pytest.mark.needs(Fault.CONTAINER_KILL)
def test_primary_killed_while_the_api_server_hangs(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    """Nobody can take or renew a lock: writes wait for the API server, and go on soon after it is back."""
    primary = healthy.primary()
    node, container = healthy.node(primary), healthy.container_id(primary)
    with ordeal(healthy, figures, f"container killed, API hangs for {PAUSE_S:.0f} s", within=PAUSE_S + 8):
        provider.api_pause()
        try:
            time.sleep(1)
            provider.kill_container(node, container)
            time.sleep(PAUSE_S - 1)
        finally:
            provider.api_resume()
        healthy.wait_replaced(primary, container)


@pytest.mark.needs(Fault.PARTITION)
def test_node_cut_off_while_the_operator_is_gone(
    healthy: PostgresCluster, provider: ClusterProvider, operator: OperatorRelease, figures: Figures
) -> None:
    """The operator is not in the failover path."""
    former = healthy.primary()
    node = healthy.node(former)
    operator.scale(0)
    try:
        eventually(lambda: _gone(operator), within=40, what="the operator's end")
        with ordeal(healthy, figures, "node partitioned without an operator", within=BY_LEASE_S):
            provider.partition(node)
            try:
                healthy.wait_primary_other_than(former, within=SEEN_S)
                time.sleep(3)
            finally:
                provider.heal(node)
    finally:
        operator.scale(1)
        eventually(operator.available, within=60, what="the operator's return")


def _gone(operator: OperatorRelease) -> None:
    if left := operator.pods():
        raise NotYet(f"{len(left)} pods of the operator are there")


@pytest.mark.needs(Fault.CONTAINER_KILL)
def test_primary_and_its_synchronous_replica_killed_at_once(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    """The third member is well, and may not lead: it need not have all that was acknowledged."""
    victims = [healthy.primary(), *healthy.synchronous_replicas()]
    places = [(healthy.node(one), healthy.container_id(one)) for one in victims]
    with ordeal(healthy, figures, "primary and synchronous replica killed", within=BY_LEASE_S):
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda place: provider.kill_container(*place), places))
        for victim, (_, container) in zip(victims, places, strict=True):
            healthy.wait_replaced(victim, container)


@pytest.mark.needs(Fault.API_PAUSE)
def test_all_pods_deleted_by_force_and_the_api_server_hangs(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    """Every address is new when the members meet again, and for a while there is nobody who could tell them."""
    before = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in healthy.pods()}
    identity = healthy.sql(IDENTITY, superuser=True)
    what = f"all pods deleted by force, then API hangs for {PAUSE_S:.0f} s"
    with ordeal(healthy, figures, what, within=PAUSE_S + 30, whole_within=90):
        names = sorted(before)
        healthy.kubectl("delete", "pod", "-n", healthy.namespace, "--wait=false", "--grace-period=0", "--force", *names)
        eventually(lambda: _moved(healthy, before), within=30, what="three new addresses")
        provider.api_pause()
        try:
            time.sleep(PAUSE_S)
        finally:
            provider.api_resume()
    healthy.eventually_sql(IDENTITY, identity, superuser=True, within=20)


def _moved(cluster: PostgresCluster, before: dict[str, str]) -> None:
    now = {pod["metadata"]["name"]: pod.get("status", {}).get("podIP") for pod in cluster.pods()}
    if not all(now.get(name) not in (None, address) for name, address in before.items()):
        raise NotYet(f"{now}")
