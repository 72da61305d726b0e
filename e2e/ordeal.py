"""One fault on a healthy cluster, the write probe beside it, from a quiet start until the cluster is whole again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.figures import Figures
from e2e.postgres_cluster import PostgresCluster

TTL_S = 9.0
"""`ttl` as it is by default."""
BY_LEASE_S = TTL_S + 6
"""A failover that waits for the end of the lease: whoever notices, is promoted and reached within six seconds more."""
SEEN_S = 30.0
"""Within which another primary shows in lock and labels. How soon it has to serve is for the ordeal's probe to judge,
which measures from the last write on; a wait that is as short begins later and also waits for the label."""
LEASE_S = 6.0
"""`ttl` less `loop_wait`, as they are by default: the lock of a primary that vanishes is leased for at least so long. A
shorter gap shows that nobody waited for a lease to end. How short it can be is for `bench/outage` to say, on a machine
with nothing else to do."""


@contextmanager
def ordeal(
    cluster: PostgresCluster, figures: Figures, fault: str, *, within: float, whole_within: float = 60.0
) -> Iterator[None]:
    """Strike and mend in the body; afterwards the cluster becomes whole within `whole_within` seconds.

    No acknowledged row may be missing, no two members writable at once, writes go on in the end, and none of the gaps
    between acknowledged writes is longer than `within` seconds.
    """
    with cluster.probe() as probe:
        yield
        cluster.wait_healthy(within=whole_within)
        report = probe.finish()
    figures.note(fault, report)
    report.assert_survived(within)
