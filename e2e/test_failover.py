"""The primary dies in several ways; writes go on and no acknowledged row is missing."""

from __future__ import annotations

import time

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.ordeal import LEASE_S, ordeal
from e2e.postgres_cluster import IDENTITY, PostgresCluster
from e2e.processes import Processes

NOTICED_S = 4.0
"""Until then a cluster may look whole because nobody has noticed."""


def test_kill_of_the_postmaster(healthy: PostgresCluster, figures: Figures) -> None:
    processes = Processes(healthy, healthy.primary())
    with ordeal(healthy, figures, "kill -9 of the postmaster", within=LEASE_S):
        processes.signal(processes.postmaster(), "KILL")
        time.sleep(NOTICED_S)


def test_pod_deleted(healthy: PostgresCluster, figures: Figures) -> None:
    former = healthy.primary()
    with ordeal(healthy, figures, "pod deleted", within=LEASE_S):
        healthy.delete_pod(former)
        time.sleep(NOTICED_S)
        healthy.wait_primary_other_than(former, within=30)


def test_pod_deleted_by_force(healthy: PostgresCluster, figures: Figures) -> None:
    former = healthy.primary()
    with ordeal(healthy, figures, "pod deleted by force", within=LEASE_S):
        healthy.delete_pod(former, force=True)
        time.sleep(NOTICED_S)


@pytest.mark.needs(Fault.CONTAINER_KILL)
def test_container_killed(healthy: PostgresCluster, provider: ClusterProvider, figures: Figures) -> None:
    former = healthy.primary()
    node, container = healthy.node(former), healthy.container_id(former)
    with ordeal(healthy, figures, "container killed", within=LEASE_S):
        provider.kill_container(node, container)
        healthy.wait_replaced(former, container)


def test_all_pods_deleted_at_once(healthy: PostgresCluster, figures: Figures) -> None:
    names = [pod["metadata"]["name"] for pod in healthy.pods()]
    identity = healthy.sql(IDENTITY, superuser=True)
    with ordeal(healthy, figures, "all pods deleted at once", within=60, whole_within=120):
        healthy.kubectl("delete", "pod", "-n", healthy.namespace, "--wait=false", *names)
        time.sleep(NOTICED_S)
    healthy.eventually_sql(IDENTITY, identity, superuser=True, within=20)
