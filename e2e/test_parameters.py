"""Postgres parameters: one that a reload applies, one that needs restarts in the safe order, and wrong ones."""

from __future__ import annotations

from e2e.figures import Figures
from e2e.postgres_cluster import PostgresCluster


def shown(cluster: PostgresCluster, name: str, value: str, within: float) -> None:
    """Every member runs with this value."""
    for pod in cluster.pods():
        host = cluster.address(pod["metadata"]["name"])
        cluster.eventually_sql(f"show {name}", [(value,)], host=host, within=within)


def test_reload(healthy: PostgresCluster) -> None:
    started = healthy.sql("select pg_postmaster_start_time()")
    healthy.change({"parameters": {"work_mem": "5MB"}})
    shown(healthy, "work_mem", "5MB", within=20)
    assert healthy.sql("select pg_postmaster_start_time()") == started, "a reload restarts nothing"
    healthy.change({"parameters": {"work_mem": None}})
    shown(healthy, "work_mem", "4MB", within=20)


def test_restart_growing_and_shrinking(healthy: PostgresCluster, figures: Figures) -> None:
    """A replica may never run with less than its primary: replicas first on growth, the primary first on shrinking."""
    for title, wanted in (("parameter with restart, growing", "130"), ("parameter with restart, shrinking", None)):
        value = wanted or "100"
        with healthy.probe() as probe:
            healthy.change({"parameters": {"max_connections": wanted}})
            shown(healthy, "max_connections", value, within=90)
            healthy.wait_healthy(within=60)
            report = probe.finish()
        figures.note(title, report)
        report.assert_nothing_lost()
        report.assert_one_writer()
        assert report.longest_gap_s < 5, f"no write was acknowledged for {report.longest_gap_s} s"


def test_a_value_that_postgres_refuses_is_reported(healthy: PostgresCluster) -> None:
    started = healthy.sql("select pg_postmaster_start_time()")
    healthy.change({"parameters": {"work_mem": "a lot'; drop table x; --"}})
    try:
        healthy.wait_event("work_mem", within=40)
        assert healthy.sql("show work_mem") == [("4MB",)]
        assert healthy.sql("select pg_postmaster_start_time()") == started
    finally:
        healthy.change({"parameters": {"work_mem": None}})
    healthy.wait_healthy()
