"""When a member looks again by itself: not for what it is told, and at every moment that matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, leading, lock, members, primary, replica, standby

from matriarch.ha.decide import decide
from matriarch.ha.rules.takeover import ASK_AFTER_S, LOOK_CLOSELY_S, SILENCE_S
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, Memory, Request, SyncView, Upstream, View
from matriarch.words.sync_names import every

SLOTS: dict[str, Any] = {"slots": primary().slots}
FOLLOWED: dict[str, Any] = {"followed": Upstream("demo-0", "10.0.0.0"), "followed_epoch": 3}


def settled(**changes: Any) -> View:
    return leading(**({"memory": Memory(sync_written="9")} | changes))


def hearing(age: float, heard: float | None = None, **changes: Any) -> View:
    """demo-1, on which demo-0's commits wait, with a WAL message of `age` seconds ago."""
    memory = Memory(**FOLLOWED, leader_heard_at=NOW - (age if heard is None else heard))
    return a_view(**({"memory": memory, "postgres": replica(heard_age=age, **SLOTS)} | changes))


def test_a_settled_leader_looks_once_in_a_loop() -> None:
    assert decide(settled()).wake_in == pytest.approx(3.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"request": Request("demo-1", "demo-2", None, "4"), "poll": None},
        {"settings": ClusterSettings(maximum_lag_on_syncnode=1000)},
        {"sync": SyncView("demo-1", ("demo-0", "demo-2"), 0, "9")},
        {"postgres": primary(sync_names=every(("demo-2",)), standbys=(standby("demo-0"), standby("demo-2")))},
    ],
)
def test_a_leader_with_something_under_way_looks_sooner(changes: dict[str, Any]) -> None:
    assert decide(settled(**changes)).wake_in <= 0.5


def test_a_leader_looks_when_its_lease_ends() -> None:
    assert decide(settled(lease_until=NOW + 1.2)).wake_in == pytest.approx(1.2)


def test_a_postgres_that_nobody_can_use_is_looked_at_often_and_in_time() -> None:
    for unusable, expected in ((0.5, 1.0), (5.6, 0.4)):
        standbys = (standby("demo-0"), standby("demo-2", "async"))
        postgres = primary(sync_names=every(("demo-0",)), standbys=standbys, unusable_for=unusable)
        assert decide(settled(postgres=postgres)).wake_in == pytest.approx(expected)


def test_who_hears_its_leader_is_told_of_its_silence_and_looks_once_in_a_loop() -> None:
    assert decide(hearing(0.2)).wake_in > 2.5


def test_a_silent_stream_is_looked_at_when_it_is_time_to_ask_and_to_act() -> None:
    """The leader answered over REST meanwhile, or it did not."""
    assert decide(hearing(1.4, heard=0.3)).wake_in == pytest.approx(ASK_AFTER_S - 0.3)
    assert decide(hearing(1.4)).wake_in == pytest.approx(SILENCE_S - 1.4)


def test_a_lost_stream_is_looked_at_closely() -> None:
    memory = Memory(**FOLLOWED, leader_heard_at=NOW - 0.1, starved_since=NOW - 0.05)
    lost = a_view(memory=memory, postgres=replica(streaming=False, **SLOTS))
    assert decide(lost).wake_in <= LOOK_CLOSELY_S


def test_a_lock_that_nobody_renews_is_looked_at_when_it_is_overdue_and_before_it_ends() -> None:
    def at_age(age: float, **changes: Any) -> float:
        settings = ClusterSettings(synchronous_mode="off")
        return decide(hearing(0.1, lock=lock(seen_at=NOW - age), settings=settings, **changes)).wake_in

    assert at_age(1.0) == pytest.approx(2.75)
    assert at_age(3.0) == pytest.approx(0.75)
    assert at_age(5.0) <= 0.75, "it is asked for anew"
    assert at_age(7.5) == pytest.approx(0.1), "to ask the peers before it is over"
    assert at_age(8.9) == pytest.approx(0.1)


def test_who_is_not_listed_waits_for_a_record_to_change() -> None:
    barred = a_view(lock=lock(None), sync=SyncView("demo-0", ("demo-2",), 0, "9"))
    assert decide(barred).wake_in == pytest.approx(3.0)
    stale = replace(barred, sync=SyncView("demo-0", ("demo-1",), 0, "9"), postgres=replica(lsn=None))
    assert decide(stale).wake_in < 0.5, "its own position may be known in a moment"


def test_an_activity_wakes_at_its_end_and_only_a_holder_looks_at_its_length() -> None:
    clone = a_view(activity=Activity("Clone", NOW - 2), members=members())
    assert decide(clone).wake_in == pytest.approx(2.75)
    start = settled(activity=Activity("Checkpoint", NOW - 2))
    assert decide(start).wake_in == pytest.approx(1.0)
