"""The agent dies or hangs; Postgres goes on, or is stopped in time."""

from __future__ import annotations

import time

from e2e.figures import Figures
from e2e.ordeal import BY_LEASE_S, TTL_S
from e2e.postgres_cluster import PostgresCluster
from e2e.processes import Processes
from e2e.shell import NotYet, eventually


def test_killed_agent_comes_back_without_a_restart_of_postgres(healthy: PostgresCluster, figures: Figures) -> None:
    primary = healthy.primary()
    before = Processes(healthy, primary)
    postmaster, agent = before.identity(before.postmaster()), before.identity(before.agent())
    with healthy.probe() as probe:
        before.signal(agent[0], "KILL")

        def back() -> Processes:
            now = Processes(healthy, primary)
            if now.identity(now.agent()) == agent:
                raise NotYet("the old agent is still listed")
            return now

        after = eventually(back, within=15, what="a new agent")
        time.sleep(TTL_S + 3)
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("agent killed", report)
    assert after.identity(after.postmaster()) == postmaster, "Postgres was restarted"
    assert healthy.primary() == primary, "the lock moved although Postgres was well"
    report.assert_nothing_lost()
    report.assert_one_writer()
    assert report.longest_gap_s < 1.0, f"no write was acknowledged for {report.longest_gap_s} s"


def test_stopped_agent_cannot_leave_a_second_primary(healthy: PostgresCluster, figures: Figures) -> None:
    former = healthy.primary()
    processes = Processes(healthy, former)
    agent = processes.agent()
    with healthy.probe() as probe:
        processes.signal(agent, "STOP")
        try:
            healthy.wait_primary_other_than(former, within=TTL_S + 20)
            time.sleep(5)
        finally:
            processes.signal(agent, "CONT")
        healthy.wait_healthy()
        report = probe.finish()
    figures.note("agent stopped (SIGSTOP)", report)
    report.assert_nothing_lost()
    report.assert_one_writer()
    report.assert_writing_again()
    assert report.longest_gap_s < BY_LEASE_S, f"no write was acknowledged for {report.longest_gap_s} s"
