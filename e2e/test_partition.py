"""The primary's node is cut off: by default nothing acknowledged is lost; in asynchronous mode the loss is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.isolation import isolate_primary
from e2e.kubectl import Kubectl
from e2e.ordeal import TTL_S
from e2e.postgres_cluster import PostgresCluster

pytestmark = [pytest.mark.needs(Fault.PARTITION), pytest.mark.needs(Fault.NODE_EXEC)]

SLACK_S = 0.5


@pytest.fixture(scope="module")
def asynchronous(kubectl: Kubectl, namespace: str) -> Iterator[PostgresCluster]:
    cluster = PostgresCluster(kubectl, namespace, "loose")
    cluster.apply(synchronous={"mode": "off"})
    cluster.wait_healthy(within=120)
    yield cluster
    cluster.delete()


def test_default_mode_keeps_all_that_was_acknowledged(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    isolation = isolate_primary(provider, healthy, figures, "node partitioned")
    isolation.assert_nothing_lost(healthy)
    isolation.assert_one_writer()


def test_asynchronous_mode_ends_in_time_and_tells_the_loss(
    asynchronous: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    isolation = isolate_primary(provider, asynchronous, figures, "node partitioned, asynchronous")
    assert isolation.acknowledged_for_s < TTL_S + SLACK_S
    isolation.assert_one_writer()
    lost = isolation.seen.missing(asynchronous)
    print(
        f"asynchronous: {len(lost)} rows of the isolated session and {isolation.report.lost} of the probe were dropped"
    )
    assert lost, "an isolated asynchronous primary keeps acknowledging until its lease ends"
    asynchronous.wait_event("rewound", isolation.former, "bytes", "dropped")
