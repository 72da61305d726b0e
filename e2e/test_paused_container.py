"""A whole container stops for longer than its lease, as a virtual machine that is moved, and then goes on.

Everything in it stops at one instant, init with its leash too; when it goes on, its Postgres still believes that it is
primary until init looks at the clock. What keeps the data safe is that none of its commits finds a replica.
"""

from __future__ import annotations

import time

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.ordeal import SEEN_S, TTL_S, ordeal
from e2e.postgres_cluster import PostgresCluster


@pytest.mark.needs(Fault.CONTAINER_PAUSE)
def test_primary_paused_for_longer_than_the_ttl(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    former = healthy.primary()
    node, container, restarts = healthy.node(former), healthy.container_id(former), healthy.restarts(former)
    with ordeal(healthy, figures, "container paused for 13 s", within=TTL_S + 4):
        provider.pause_container(node, container)
        try:
            successor = healthy.wait_primary_other_than(former, within=SEEN_S)
            time.sleep(TTL_S)
        finally:
            provider.resume_container(node, container)
    assert healthy.primary() == successor, "the former primary took the lock back"
    assert healthy.restarts(former) == restarts, "the container was restarted instead of going on"
