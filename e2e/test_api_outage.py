"""The API server hangs for a minute. Nothing happens: failsafe mode keeps the primary."""

from __future__ import annotations

import time

import pytest

from e2e.cluster import ClusterProvider, Fault
from e2e.figures import Figures
from e2e.postgres_cluster import PostgresCluster

PAUSE_S = 60.0


@pytest.mark.needs(Fault.API_PAUSE)
def test_a_minute_without_the_api_server(healthy: PostgresCluster, provider: ClusterProvider, figures: Figures) -> None:
    primary = healthy.primary()
    with healthy.probe() as probe:
        provider.api_pause()
        try:
            time.sleep(PAUSE_S)
        finally:
            provider.api_resume()
        time.sleep(8)
        assert healthy.wait_healthy() == primary, "the primary changed although every member agreed on it"
        report = probe.finish()
    figures.note("API server paused for 60 s", report)
    report.assert_nothing_lost()
    report.assert_one_writer()
    assert report.longest_gap_s < 1.0, f"no write was acknowledged for {report.longest_gap_s} s"
