"""The primary dies in four ways; writes go on and no acknowledged row is missing."""

from __future__ import annotations

import time

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.postgres_cluster import PostgresCluster
from e2e.processes import Processes

BEFORE_S = 3.0
AFTER_S = 4.0


def test_kill_of_the_postmaster(healthy: PostgresCluster, figures: Figures) -> None:
    processes = Processes(healthy, healthy.primary())
    with healthy.probe() as probe:
        time.sleep(BEFORE_S)
        processes.signal(processes.postmaster(), "KILL")
        time.sleep(AFTER_S)
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("kill -9 of the postmaster", report)
    report.assert_survived(within=4)


def test_pod_deleted(healthy: PostgresCluster, figures: Figures) -> None:
    former = healthy.primary()
    with healthy.probe() as probe:
        time.sleep(BEFORE_S)
        healthy.delete_pod(former)
        time.sleep(AFTER_S)
        healthy.wait_primary_other_than(former, within=30)
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("pod deleted", report)
    report.assert_survived(within=3)


def test_pod_deleted_by_force(healthy: PostgresCluster, figures: Figures) -> None:
    former = healthy.primary()
    with healthy.probe() as probe:
        time.sleep(BEFORE_S)
        healthy.delete_pod(former, force=True)
        time.sleep(AFTER_S)
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("pod deleted by force", report)
    report.assert_survived(within=5)


@pytest.mark.needs(Fault.CONTAINER_KILL)
def test_container_killed(healthy: PostgresCluster, provider: ClusterProvider, figures: Figures) -> None:
    former = healthy.primary()
    with healthy.probe() as probe:
        time.sleep(BEFORE_S)
        provider.kill_container(healthy.node(former), healthy.container_id(former))
        time.sleep(AFTER_S)
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("container killed", report)
    report.assert_survived(within=5)


def test_all_pods_deleted_at_once(healthy: PostgresCluster, figures: Figures) -> None:
    names = [pod["metadata"]["name"] for pod in healthy.pods()]
    identity = healthy.sql("select system_identifier from pg_control_system()", superuser=True)
    with healthy.probe() as probe:
        time.sleep(BEFORE_S)
        healthy.kubectl("delete", "pod", "-n", healthy.namespace, "--wait=false", *names)
        time.sleep(AFTER_S)
        healthy.wait_healthy(within=120)
        # Members are ready a moment before kube-proxy leads the writers to the new address.
        time.sleep(AFTER_S)
        report = probe.finish()
    figures.note("all pods deleted at once", report)
    report.assert_survived(within=60)
    assert healthy.sql("select system_identifier from pg_control_system()", superuser=True) == identity
