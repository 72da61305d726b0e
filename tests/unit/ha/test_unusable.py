"""Postgres runs and nobody can use it (rules/unusable.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, answer, lock, members, poll, primary, replica, silent, standby

from matriarch.ha.actions import Kill, PollPeers, Release
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, Memory, PrimarySeen, SyncView, View
from matriarch.words.sync_names import every

ASYNC = ClusterSettings(synchronous_mode="off")
KILL = (Kill(),)
GIVE_WAY = (Kill(), Release(handed_over=True, successor="demo-0"))


def leading(seconds: float | None, **changes: Any) -> View:
    """demo-1 leads; its Postgres has been of no use for so long; demo-0 is listed and well."""
    named = {"sync_names": every(("demo-0",)), "sync_names_lsn": 900}
    postgres = primary(unusable_for=seconds, unusable_why="no answer", **named)
    base = a_view(
        lock=lock("demo-1"),
        lease_until=NOW + 5,
        sync=SyncView("demo-1", ("demo-0",), 0, "9"),
        members=members("demo-1"),
        postgres=replace(postgres, standbys=(standby("demo-0"),)),
        poll=poll(answer("demo-0"), answer("demo-2")),
        memory=Memory(sync_written="9", primary_seen=PrimarySeen(1000, (standby("demo-0"),))),
    )
    return replace(base, **changes)


def killed_before(view: View, seconds: float) -> View:
    return replace(view, memory=replace(view.memory, killed_unusable_at=view.now - seconds))


def test_a_listed_replica_takes_over_from_a_primary_that_nobody_can_use() -> None:
    decision = decide(leading(6.5))
    assert decision.actions == GIVE_WAY
    assert decision.reason == Reason.UNUSABLE
    assert "no answer" in decision.facts
    assert decide(replace(leading(6.5), poll=None)).actions == (PollPeers(skip=("demo-2",)),)


@pytest.mark.parametrize("seconds", [None, 0.0, 5.9])
def test_nothing_happens_before_its_time(seconds: float | None) -> None:
    assert decide(leading(seconds)).reason == Reason.LEADING


def test_the_time_follows_the_ttl() -> None:
    slow = ClusterSettings(ttl=30, loop_wait=10, retry_timeout=10)
    assert decide(leading(19.0, settings=slow)).reason != Reason.UNUSABLE
    assert decide(leading(21.0, settings=slow)).reason == Reason.UNUSABLE


def test_without_a_replica_it_starts_again_in_place() -> None:
    assert decide(leading(6.5, sync=SyncView("demo-1", (), 0, "9"))).actions == KILL
    assert decide(leading(6.5, poll=poll(silent("demo-0"), answer("demo-2")))).actions == KILL


def test_asynchronous_it_starts_again_in_place_first() -> None:
    view = leading(6.5, settings=ASYNC, sync=SyncView(None, (), 0, "9"))
    assert decide(view).actions == KILL
    assert decide(killed_before(view, 30.0)).actions == GIVE_WAY
    assert decide(killed_before(view, 61.0)).actions == KILL


def test_what_a_restart_has_not_cured_is_not_killed_again_and_again() -> None:
    alone = leading(6.5, sync=SyncView("demo-1", (), 0, "9"))
    assert Kill() not in decide(killed_before(alone, 30.0)).actions
    assert decide(killed_before(alone, 61.0)).actions == KILL


def test_paused_nobody_is_killed() -> None:
    assert Kill() not in decide(leading(60.0, settings=ClusterSettings(pause=True))).actions


def test_a_replica_is_killed_and_starts_again() -> None:
    view = a_view(postgres=replica(unusable_for=7.0))
    assert decide(view).actions == KILL
    assert Kill() not in decide(killed_before(view, 30.0)).actions
    assert Kill() not in decide(a_view(postgres=replica(unusable_for=7.0, process="starting"))).actions


def test_activities_that_would_wait_for_it_are_broken_off_and_others_are_not() -> None:
    promoting = leading(7.0, activity=Activity("Promote", NOW - 8), memory=Memory())
    assert decide(replace(promoting, postgres=replica(unusable_for=7.0))).actions == KILL
    assert decide(leading(7.0, activity=Activity("HandOver", NOW - 8))).actions == GIVE_WAY
    assert decide(leading(7.0, activity=Activity("Restart", NOW - 8))).reason == Reason.BUSY
