"""The primary's node is cut off while one session keeps writing there, straight to the old primary."""

from __future__ import annotations

import time
from dataclasses import dataclass

from e2e.cluster import ClusterProvider
from e2e.figures import Figures
from e2e.local_writer import LocalAnswer, LocalWriter
from e2e.ordeal import BY_LEASE_S
from e2e.postgres_cluster import PostgresCluster
from e2e.probe.process import Report

CUT_FOR_S = 20.0


@dataclass(frozen=True, slots=True)
class Isolation:
    """What became of it: `former` led before, `moment` is when the node was cut off (seconds since the epoch), `report`
    is of the probe through the Service and `seen` what the session on the isolated node was told."""

    former: str
    moment: float
    report: Report
    seen: LocalAnswer

    @property
    def acknowledged_for_s(self) -> float:
        """For how long after the cut the isolated session got acknowledgements, in seconds."""
        return max(at for _, at in self.seen.acknowledged) - self.moment

    def assert_one_writer(self) -> None:
        """The isolated primary's last acknowledgement came before the next primary's first."""
        self.report.assert_one_writer()
        tenures: dict[str, tuple[float, float, int]] = self.report.members["tenures"]
        firsts = [first for key, (first, _, _) in tenures.items() if not key.startswith(f"{self.former} ")]
        last = max(at for _, at in self.seen.acknowledged)
        assert firsts, f"nobody else was written to: {self.report.members}"
        assert last < min(firsts), f"the isolated {self.former} acknowledged {last - min(firsts):.2f} s too late"

    def assert_nothing_lost(self, cluster: PostgresCluster) -> None:
        """Neither the Service's clients nor the isolated session miss a row that was acknowledged."""
        self.report.assert_nothing_lost()
        missing = self.seen.missing(cluster)
        assert not missing, f"rows {missing[:10]} were acknowledged on the isolated node"


def isolate_primary(provider: ClusterProvider, cluster: PostgresCluster, figures: Figures, name: str) -> Isolation:
    """Partition the primary's node for CUT_FOR_S, heal it, and wait until the cluster is whole. Writes go on in the
    end, and nobody has waited longer than the TTL and what a failover takes."""
    former = cluster.primary()
    node = cluster.node(former)
    with cluster.probe() as probe, LocalWriter(provider, cluster, former, CUT_FOR_S + 3) as local:
        time.sleep(3)
        provider.partition(node)
        moment = time.time()
        try:
            cluster.wait_primary_other_than(former, within=CUT_FOR_S)
            time.sleep(max(0.0, moment + CUT_FOR_S - time.time()))
        finally:
            provider.heal(node)
        cluster.wait_healthy(within=120)
        report, seen = probe.finish(), local.answer(timeout=30)
    figures.note(name, report)
    assert [at for _, at in seen.acknowledged if at < moment], "the local session wrote before the partition"
    report.assert_writing_again()
    assert report.longest_gap_s < BY_LEASE_S, f"no write was acknowledged for {report.longest_gap_s} s"
    return Isolation(former, moment, report, seen)
