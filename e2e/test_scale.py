"""`kubectl scale`: 3 members, 5, then 2; the primary may be one of those that go."""

from __future__ import annotations

from e2e.figures import Figures
from e2e.kubectl import CORE, Kubectl, names_of
from e2e.ordeal import BY_LEASE_S
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually


def test_scale_up_and_down(kubectl: Kubectl, namespace: str, figures: Figures) -> None:
    cluster = PostgresCluster(kubectl, namespace, "scaled")
    cluster.apply(synchronous={"mode": "quorum"})
    cluster.wait_healthy(within=120)
    with cluster.probe() as probe:
        kubectl("scale", "pgc", "scaled", "-n", namespace, "--replicas=5")
        cluster.wait_healthy(5, within=90)
        cluster.annotate("matriarch.dev/switchover", "scaled-4")
        eventually(lambda: _is_primary(cluster, "scaled-4"), within=40, what="scaled-4 as primary")
        kubectl("scale", "pgc", "scaled", "-n", namespace, "--replicas=2")
        survivor = cluster.wait_healthy(2, within=120)
        report = probe.finish()
    figures.note("scale 3 to 5, switchover, 5 to 2", report)
    assert survivor in ("scaled-0", "scaled-1")
    report.assert_nothing_lost()
    report.assert_one_writer()
    # Five members on three small disks: a handover beside their copies waits for the disks. It never takes longer than
    # a failover that has to wait for the lease.
    assert report.longest_gap_s < BY_LEASE_S, f"no write was acknowledged for {report.longest_gap_s} s"

    def freed() -> None:
        claims = names_of(kubectl.items(CORE, "persistentvolumeclaims", namespace=namespace))
        if claims != ["data-scaled-0", "data-scaled-1"]:
            raise NotYet(f"claims {claims}")

    eventually(freed, within=60, what="the claims of removed members are deleted, as reclaimPolicy says")


def _is_primary(cluster: PostgresCluster, member: str) -> None:
    if (found := cluster.primary()) != member:
        raise NotYet(f"{found} is primary")
