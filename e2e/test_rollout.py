"""A rolling update, with the operator killed in the middle of it."""

from __future__ import annotations

from e2e.figures import Figures
from e2e.kubectl import annotations_of
from e2e.operator_release import OperatorRelease
from e2e.ordeal import LEASE_S
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually

MARK = "example.com/generation"


def replaced(cluster: PostgresCluster) -> list[str]:
    """Pods that already carry the new template."""
    return [pod["metadata"]["name"] for pod in cluster.pods() if annotations_of(pod).get(MARK) == "2"]


def test_operator_killed_in_a_rolling_update(
    healthy: PostgresCluster, operator: OperatorRelease, figures: Figures
) -> None:
    former = healthy.primary()
    order: list[str] = []

    def note() -> list[str]:
        order.extend(pod for pod in replaced(healthy) if pod not in order)
        return order

    def first() -> None:
        if not note():
            raise NotYet("no pod is replaced yet")

    def all_replaced() -> None:
        if len(note()) < 3:
            raise NotYet(f"replaced so far: {order}")

    with healthy.probe() as probe:
        healthy.change({"podAnnotations": {MARK: "2"}})
        eventually(first, within=40, what="the first replaced pod")
        operator.kill()
        eventually(all_replaced, within=180, what="a rolling update that an operator's death does not stop")
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("rolling update, operator killed", report)
    assert order[-1] == former, f"the old primary goes last; the order was {order} and {former} was primary"
    eventually(operator.available, within=60, what="the operator")
    report.assert_nothing_lost()
    report.assert_one_writer()
    assert report.longest_gap_s < LEASE_S, f"no write was acknowledged for {report.longest_gap_s} s"
