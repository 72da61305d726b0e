"""Quorum mode: any replica's word makes a commit, a slow one delays nobody, and a failover still loses nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.isolation import isolate_primary
from e2e.kubectl import Kubectl
from e2e.ordeal import LEASE_S, TTL_S, ordeal
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually


@pytest.fixture(scope="module")
def quorum(kubectl: Kubectl, namespace: str) -> Iterator[PostgresCluster]:
    cluster = PostgresCluster(kubectl, namespace, "voters")
    cluster.apply(synchronous={"mode": "quorum"})
    cluster.wait_healthy(within=120)
    yield cluster
    cluster.delete()


@pytest.fixture
def voters(quorum: PostgresCluster) -> PostgresCluster:
    """Whole, and either replica may acknowledge."""
    quorum.wait_healthy(within=60)
    eventually(lambda: _both_vote(quorum), within=30, what="two voters")
    return quorum


def _both_vote(cluster: PostgresCluster) -> None:
    names, listed = cluster.ask("show synchronous_standby_names", superuser=True)[0][0], cluster.synchronous_replicas()
    if not names.startswith("ANY 1 ") or len(listed) != 2:
        raise NotYet(f"synchronous_standby_names is {names!r}, the sync object lists {listed}")


@pytest.mark.needs(Fault.PARTITION)
@pytest.mark.needs(Fault.NODE_EXEC)
def test_primarys_node_partitioned(voters: PostgresCluster, provider: ClusterProvider, figures: Figures) -> None:
    isolation = isolate_primary(provider, voters, figures, "node partitioned, quorum")
    isolation.assert_nothing_lost(voters)
    isolation.assert_one_writer()
    assert isolation.report.longest_gap_s < TTL_S, "counted promises succeed a silent leader before its TTL is over"


@pytest.mark.needs(Fault.CONTAINER_KILL)
def test_primarys_container_killed(voters: PostgresCluster, provider: ClusterProvider, figures: Figures) -> None:
    primary = voters.primary()
    node, container = voters.node(primary), voters.container_id(primary)
    with ordeal(voters, figures, "container killed, quorum", within=LEASE_S):
        provider.kill_container(node, container)
        voters.wait_replaced(primary, container)


def test_primarys_pod_deleted(voters: PostgresCluster, figures: Figures) -> None:
    former = voters.primary()
    with ordeal(voters, figures, "pod deleted, quorum", within=LEASE_S):
        voters.delete_pod(former)
        voters.wait_primary_other_than(former, within=30)


@pytest.mark.needs(Fault.PARTITION)
def test_a_replica_that_is_cut_off_delays_nobody(
    voters: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    """In priority mode writes wait until the primary gives its synchronous replica up; here another one's word is
    enough."""
    primary = voters.primary()
    replica = sorted(set(voters.roles()) - {primary})[0]
    with ordeal(voters, figures, "a replica's node partitioned, quorum", within=1.5):
        provider.partition(voters.node(replica))
        try:
            time.sleep(TTL_S)
        finally:
            provider.heal(voters.node(replica))
    assert voters.primary() == primary
