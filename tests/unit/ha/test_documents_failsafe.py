"""Whether a member lets a primary that lost the API server go on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
from unit.ha.document_cases import NOW, REPLICA_LSN, primary_postgres, replica_postgres, view_of

from matriarch.ha.failsafe import Verdict, judge_failsafe
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ConfigView, HistoryEntry, LockView


@dataclass(frozen=True)
class SomeClaim:
    name: str = "demo-0"
    api_url: str = "http://10.0.0.10:8008/patroni"
    ttl: float = 0.0
    timeline: int | None = None


ACCEPTED = Verdict(200, "Accepted", REPLICA_LSN)
LEADER = Verdict(500, "Running as a leader")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, ACCEPTED),
        ({"api_ok": False}, ACCEPTED),
        ({"lock": LockView(), "members": (), "api_ok": False}, ACCEPTED),
        ({"postgres": replica_postgres(process="stopped", lsn=None)}, Verdict(200, "Accepted", None)),
        ({"settings": ClusterSettings(failsafe_mode=False)}, Verdict(502, "Failsafe mode is off")),
        ({"postgres": primary_postgres()}, LEADER),
        ({"lease_until": NOW + 1}, LEADER),
        ({"lease_until": NOW - 1}, ACCEPTED),
        ({"lock": LockView(holder="demo-2")}, Verdict(409, "Another member leads")),
        ({"lock": LockView(holder="demo-2"), "api_ok": False}, ACCEPTED),
        ({"lock": LockView(holder="demo-2", expired=True)}, Verdict(409, "Another member leads")),
    ],
)
def test_the_verdict(changes: dict[str, Any], verdict: Verdict) -> None:
    assert judge_failsafe(view_of("demo-1", **changes), SomeClaim(), NOW) == verdict


NOBODY: dict[str, Any] = {"lock": LockView(), "members": (), "api_ok": False}


@pytest.mark.parametrize(
    "known",
    [
        {"postgres": replica_postgres(timeline=3)},
        {"postgres": replica_postgres(timeline=2, led_timeline=3)},
        {"config": ConfigView(True, "5", "7", (HistoryEntry(1, 1), HistoryEntry(2, 2)))},
    ],
)
def test_a_primary_that_somebody_has_succeeded_does_not_go_on(known: dict[str, Any]) -> None:
    """Also when a new agent here knows nothing of who led: what it has on its disk tells."""
    view = view_of("demo-1", **{**NOBODY, **known})
    assert judge_failsafe(view, SomeClaim(timeline=2), NOW) == Verdict(409, "A later timeline is known here")
    assert judge_failsafe(view, SomeClaim(timeline=3), NOW).accepted
    assert judge_failsafe(view, SomeClaim(), NOW).accepted, "Patroni does not tell"


def test_who_knows_nothing_and_cannot_read_its_data_agrees_to_nothing() -> None:
    blind = replica_postgres(data="unknown", process="stopped", timeline=None, lsn=None)
    assert not judge_failsafe(view_of("demo-1", postgres=blind, **NOBODY), SomeClaim(), NOW).accepted
    assert judge_failsafe(view_of("demo-1", postgres=blind), SomeClaim(), NOW).accepted


def test_nobody_agrees_while_taking_the_lock() -> None:
    assert judge_failsafe(view_of("demo-1"), SomeClaim(), NOW, acquiring=True) == LEADER


@pytest.mark.parametrize(
    "claim",
    [
        SomeClaim("demo-1", "http://10.0.0.11:8008/patroni"),
        SomeClaim("other-0"),
        SomeClaim("demo-0", "http://10.9.9.9:8008/patroni"),
    ],
)
def test_strangers_are_refused(claim: SomeClaim) -> None:
    verdict = judge_failsafe(view_of("demo-1"), claim, NOW)
    assert (verdict.status, verdict.accepted) == (409, False)


@pytest.mark.parametrize(
    ("changes", "ttl", "accepted"),
    [
        ({}, 36.0, True),
        ({}, 36.1, False),
        ({"settings": ClusterSettings(ttl=30)}, 120.0, True),
        ({"lock": LockView(holder="demo-0", ttl=30.0)}, 120.0, True),
        ({"lock": LockView(holder="demo-0", ttl=30.0)}, 86400.0, False),
        ({"lock": LockView(), "members": (), "api_ok": False}, 300.0, True),
        ({"lock": LockView(), "members": (), "api_ok": False}, math.inf, False),
    ],
)
def test_nobody_is_kept_from_taking_over_for_a_day(changes: dict[str, Any], ttl: float, accepted: bool) -> None:
    """Refused, and not cut short: the claimant would count on all of it. A member may not have heard of a greater ttl,
    and one that has seen nothing yet knows none."""
    assert judge_failsafe(view_of("demo-1", **changes), SomeClaim(ttl=ttl), NOW).accepted == accepted
