"""The primary's node is cut off. One session keeps writing there, straight to the old primary."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.kubectl import Kubectl
from e2e.local_writer import LocalAnswer, LocalWriter
from e2e.postgres_cluster import PostgresCluster
from e2e.probe.process import Report

pytestmark = [pytest.mark.needs(Fault.PARTITION), pytest.mark.needs(Fault.NODE_EXEC)]

TTL_S = 9.0
CUT_FOR_S = 20.0
SLACK_S = 0.5


@pytest.fixture(scope="module")
def asynchronous(kubectl: Kubectl, namespace: str) -> Iterator[PostgresCluster]:
    cluster = PostgresCluster(kubectl, namespace, "loose")
    cluster.apply(synchronous={"mode": "off"})
    cluster.wait_healthy(within=120)
    yield cluster
    cluster.delete()


def cut_off(
    provider: ClusterProvider, cluster: PostgresCluster, figures: Figures, name: str
) -> tuple[str, float, Report, LocalAnswer]:
    """Partition the primary's node for CUT_FOR_S; returns the former primary, the moment, and what both probes saw."""
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
    return former, moment, report, seen


def assert_never_beside_the_next_primary(former: str, report: Report, seen: LocalAnswer) -> None:
    """The isolated primary's last acknowledgement came before the next primary's first."""
    report.assert_one_writer()
    firsts = [first for key, (first, _, _) in report.members["tenures"].items() if not key.startswith(f"{former} ")]
    last = max(at for _, at in seen.acknowledged)
    assert firsts, f"nobody else was written to: {report.members}"
    assert last < min(firsts), f"the isolated {former} acknowledged {last - min(firsts):.2f} s after its successor did"


def test_default_mode_keeps_all_that_was_acknowledged(
    healthy: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    former, _, report, seen = cut_off(provider, healthy, figures, "node partitioned")
    report.assert_nothing_lost()
    report.assert_writing_again()
    assert not seen.missing(healthy), f"rows {seen.missing(healthy)[:10]} were acknowledged on the isolated node"
    assert_never_beside_the_next_primary(former, report, seen)
    assert report.longest_gap_s < TTL_S + 6, f"no write was acknowledged for {report.longest_gap_s} s"


def test_asynchronous_mode_ends_in_time_and_tells_the_loss(
    asynchronous: PostgresCluster, provider: ClusterProvider, figures: Figures
) -> None:
    former, moment, report, seen = cut_off(provider, asynchronous, figures, "node partitioned, asynchronous")
    report.assert_writing_again()
    last = max(at for _, at in seen.acknowledged)
    assert last - moment < TTL_S + SLACK_S, f"acknowledged for {last - moment:.1f} s after the partition"
    assert_never_beside_the_next_primary(former, report, seen)
    assert report.longest_gap_s < TTL_S + 6, f"no write was acknowledged for {report.longest_gap_s} s"
    lost = seen.missing(asynchronous)
    print(f"asynchronous: {len(lost)} rows of the isolated session and {report.lost} of the probe were dropped")
    assert lost, "an isolated asynchronous primary keeps acknowledging until its lease ends"
    asynchronous.wait_event("rewound", former, "bytes", "dropped")
