"""`kubectl annotate pgc demo matriarch.dev/switchover=...`: done, or refused with a reason."""

from __future__ import annotations

import pytest

from e2e.figures import Figures
from e2e.kubectl import annotations_of
from e2e.ordeal import LEASE_S
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually

ANNOTATION = "matriarch.dev/switchover"


Outcome = dict[str, object]


def last_switchover(cluster: PostgresCluster) -> Outcome:
    """What status tells about the last switchover, empty before the first."""
    found: Outcome = cluster.status().get("lastSwitchover") or {}
    return found


def handled(cluster: PostgresCluster, outcome: str, before: Outcome) -> Outcome:
    """Wait until the annotation is gone and status tells this outcome, and no longer what it told before."""

    def look() -> Outcome:
        resource, last = cluster.resource(), last_switchover(cluster)
        if ANNOTATION in annotations_of(resource) or last == before or last.get("outcome") != outcome:
            raise NotYet(f"annotations {annotations_of(resource)}, lastSwitchover {last}")
        return last

    return eventually(look, within=40, what=f"a switchover that is {outcome}")


@pytest.mark.parametrize("wish", ["named", "any"])
def test_switchover(healthy: PostgresCluster, figures: Figures, wish: str) -> None:
    former, before = healthy.primary(), last_switchover(healthy)
    candidate = next(pod for pod, role in sorted(healthy.roles().items()) if role == "replica")
    with healthy.probe() as probe:
        healthy.annotate(ANNOTATION, candidate if wish == "named" else "any")
        successor = healthy.wait_primary_other_than(former, within=30)
        healthy.wait_healthy()
        report = probe.finish()
    figures.note(f"switchover ({wish})", report)
    if wish == "named":
        assert successor == candidate
    last = handled(healthy, "Succeeded", before)
    assert (last["from"], last["to"]) == (former, successor)
    healthy.wait_event("switchover", former, successor)
    report.assert_nothing_lost()
    report.assert_one_writer()
    assert report.longest_gap_s < LEASE_S, f"no write was acknowledged for {report.longest_gap_s} s"


@pytest.mark.parametrize("target", ["demo-7", "no such member; drop table x", "the primary itself"])
def test_refused_switchover_says_why(healthy: PostgresCluster, target: str) -> None:
    primary, before = healthy.primary(), last_switchover(healthy)
    healthy.annotate(ANNOTATION, primary if target == "the primary itself" else target)
    last = handled(healthy, "Refused", before)
    assert last["message"], "a refusal says why"
    healthy.wait_event("switchover", "refused")
    assert healthy.primary() == primary
