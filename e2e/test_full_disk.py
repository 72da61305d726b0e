"""A volume is full: first a replica's, then the primary's. Its data is never thrown away, and it recovers by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.kubectl import Kubectl
from e2e.ordeal import ordeal
from e2e.postgres_cluster import PostgresCluster

pytestmark = pytest.mark.needs(Fault.SIZED_VOLUMES)

FULL_FOR_S = 10.0
FILLER = "/var/lib/matriarch/filler"


@pytest.fixture(scope="module")
def small(kubectl: Kubectl, namespace: str, provider: ClusterProvider) -> Iterator[PostgresCluster]:
    """Three members on volumes of 384 MiB, little of it WAL."""
    cluster = PostgresCluster(kubectl, namespace, "small")
    storage = {"size": "384Mi", "storageClass": provider.sized_storage_class(), "reclaimPolicy": "Delete"}
    cluster.apply(storage=storage, parameters={"max_wal_size": "64MB", "min_wal_size": "32MB", "wal_keep_size": "0"})
    cluster.wait_healthy(within=120)
    yield cluster
    cluster.delete()


def fill(cluster: PostgresCluster, member: str) -> None:
    """Use up the member's volume to the last byte."""
    script = f"dd if=/dev/zero of={FILLER} bs=1M; dd if=/dev/zero bs=512 >> {FILLER}; df /var/lib/matriarch"
    print(cluster.kubectl.exec(cluster.namespace, member, "sh", "-c", f"({script}) 2>/dev/null"))


def make_room(cluster: PostgresCluster, member: str) -> None:
    """Undo `fill`."""
    cluster.kubectl.exec(cluster.namespace, member, "rm", "-f", FILLER)


def test_the_synchronous_replicas_disk_is_full(small: PostgresCluster, figures: Figures) -> None:
    primary, replica = small.wait_healthy(), small.synchronous_replicas()[0]
    with ordeal(small, figures, "replica's disk full", within=6):
        fill(small, replica)
        try:
            for _ in range(4):
                small.sql("select pg_switch_wal()", superuser=True)
                time.sleep(FULL_FOR_S / 4)
        finally:
            make_room(small, replica)
    assert small.primary() == primary, "the lock moved for a replica's sake"


def test_the_primarys_disk_is_full(small: PostgresCluster, figures: Figures) -> None:
    primary = small.wait_healthy()
    with ordeal(small, figures, "primary's disk full", within=FULL_FOR_S + 10):
        fill(small, primary)
        try:
            time.sleep(FULL_FOR_S)
        finally:
            make_room(small, primary)
