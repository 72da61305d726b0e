"""The network works badly: a slow API server, a link that loses packets, a link that works one way only."""

from __future__ import annotations

import time
from typing import Literal

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.ordeal import BY_LEASE_S, SEEN_S, TTL_S, ordeal
from e2e.postgres_cluster import PostgresCluster

DELAY_MS = 2000
LOSS_PERCENT = 20
FOR_S = 20.0
CUT_FOR_S = TTL_S + 4


@pytest.mark.needs(Fault.API_DELAY)
def test_two_seconds_more_for_every_answer_of_the_api_server(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    primary = healthy.primary()
    with ordeal(healthy, figures, "API server slower by 2 s", within=1.0):
        provider.api_delay(DELAY_MS)
        try:
            time.sleep(FOR_S)
        finally:
            provider.api_delay(0)
    assert healthy.primary() == primary, "the lock moved although it could be renewed"


@pytest.mark.needs(Fault.PACKET_LOSS)
@pytest.mark.parametrize("whose", ["primary", "synchronous replica"])
def test_a_link_that_loses_packets(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures, whose: str
) -> None:
    member = healthy.primary() if whose == "primary" else healthy.synchronous_replicas()[0]
    node = healthy.node(member)
    with ordeal(healthy, figures, f"{LOSS_PERCENT} % of packets lost, {whose}", within=BY_LEASE_S):
        provider.lose_packets(node, LOSS_PERCENT)
        try:
            time.sleep(FOR_S)
        finally:
            provider.heal(node)


@pytest.mark.needs(Fault.ONE_WAY_PARTITION)
@pytest.mark.parametrize("lost", ["in", "out"])
def test_a_partition_of_one_direction(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures, lost: Literal["in", "out"]
) -> None:
    """`in`: the primary's renewals still arrive and no answer comes back. `out`: it hears and cannot say anything."""
    former = healthy.primary()
    node = healthy.node(former)
    with ordeal(healthy, figures, f"one-way partition, {lost} lost", within=BY_LEASE_S):
        provider.partition_one_way(node, lost)
        try:
            began = time.monotonic()
            healthy.wait_primary_other_than(former, within=SEEN_S)
            time.sleep(max(0.0, began + CUT_FOR_S - time.monotonic()))
        finally:
            provider.heal(node)
