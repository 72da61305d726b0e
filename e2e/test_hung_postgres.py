"""Postgres stands still while its agent lives: every process of it is stopped, and nothing tells so but the silence."""

from __future__ import annotations

from e2e.figures import Figures
from e2e.ordeal import ordeal
from e2e.postgres_cluster import PostgresCluster
from e2e.processes import Processes


def test_a_primary_that_answers_nobody_is_succeeded(healthy: PostgresCluster, figures: Figures) -> None:
    former = healthy.primary()
    restarts = healthy.restarts(former)
    processes = Processes(healthy, former)
    with ordeal(healthy, figures, "Postgres stopped (SIGSTOP)", within=20):
        processes.signal_all(processes.servers(), "STOP")
        healthy.wait_primary_other_than(former, within=30)
    assert healthy.restarts(former) == restarts, "the container was restarted for it"
