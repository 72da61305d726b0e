"""A dead Postgres under a living leader: in place, or handed over (rules/crash.py, rules/succession.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, SYSID, a_view, answer, lock, member, members, poll, silent, standby, stopped

from matriarch.ha.actions import Fence, PollPeers, Release, StartPrimary
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.crash import measured_rate, recovery_s
from matriarch.ha.settings import ClusterSettings, settings_from
from matriarch.ha.tags import Tags
from matriarch.ha.view import Activity, ControlData, Memory, PrimarySeen, SyncView, View
from matriarch.words.sync_names import NOBODY, every

MB = 1024 * 1024
END = 1000 * MB
IN_PLACE = (StartPrimary(every(("demo-0",))),)
ASYNC = ClusterSettings(synchronous_mode="off")


def crashed(wal: int, **changes: Any) -> View:
    """demo-1 leads, its Postgres is dead with `wal` bytes to replay; demo-0 is listed, demo-0 and demo-2 streamed."""
    rows = (standby("demo-0", flush=END), standby("demo-2", "async", flush=END))
    control = ControlData("in production", SYSID, 1, END - wal, None, True, redo_lsn=END - wal)
    base = a_view(
        lock=lock("demo-1"),
        lease_until=NOW + 5,
        sync=SyncView("demo-1", ("demo-0",), 0, "9"),
        members=members("demo-1"),
        postgres=stopped(control=control),
        poll=poll(answer("demo-0", lsn=END), answer("demo-2", lsn=END)),
        memory=Memory(sync_written="9", primary_seen=PrimarySeen(END, rows)),
    )
    return replace(base, **changes)


def seen(view: View, *rows: Any, **more: Any) -> View:
    return replace(view, memory=replace(view.memory, primary_seen=PrimarySeen(END, rows), **more))


def to(name: str) -> tuple[Release]:
    return (Release(handed_over=True, successor=name),)


def test_little_to_replay_is_replayed_in_place() -> None:
    assert decide(crashed(60 * MB)).actions == IN_PLACE


def test_much_to_replay_goes_to_the_listed_standby() -> None:
    decision = decide(crashed(400 * MB))
    assert decision.actions == to("demo-0")
    assert decision.reason == Reason.HANDING_OVER
    assert not decision.lead


def test_only_those_are_asked_who_may_take_over() -> None:
    assert decide(replace(crashed(400 * MB), poll=None)).actions == (PollPeers(skip=("demo-2",)),)


@pytest.mark.parametrize(
    "changes",
    [
        {"poll": poll(silent("demo-0"), answer("demo-2", lsn=END))},
        {"poll": poll(answer("demo-0", lsn=END, running=False), answer("demo-2", lsn=END))},
        {"poll": poll(answer("demo-0", lsn=END, in_recovery=False), answer("demo-2", lsn=END))},
        {"sync": SyncView("demo-1", (), 0, "9")},
        {"members": (member("demo-0", tags=Tags(nofailover=True)), member("demo-1"), member("demo-2"))},
        {"members": (member("demo-0", tags=Tags(failover_priority=0)), member("demo-1"), member("demo-2"))},
        {"members": (member("demo-1"),)},
    ],
)
def test_nothing_is_handed_over_to_nobody(changes: dict[str, Any]) -> None:
    actions = decide(crashed(400 * MB, **changes)).actions
    assert [type(action) for action in actions] == [StartPrimary]


def test_who_did_not_stream_takes_nothing_over() -> None:
    assert decide(seen(crashed(400 * MB))).actions == IN_PLACE
    assert decide(seen(crashed(400 * MB), standby("demo-0", state="catchup"))).actions == IN_PLACE


def test_in_quorum_mode_enough_have_to_answer() -> None:
    quorum = SyncView("demo-1", ("demo-0", "demo-2"), 1, "9")
    assert decide(crashed(400 * MB, sync=quorum)).actions == to("demo-2")
    alone = poll(answer("demo-0", lsn=END), silent("demo-2"))
    assert not isinstance(decide(crashed(400 * MB, sync=quorum, poll=alone)).actions[-1], Release)


def test_what_is_not_known_is_never_read_as_long() -> None:
    view = crashed(400 * MB)
    assert decide(replace(view, memory=Memory(sync_written="9"))).actions == IN_PLACE
    control = view.postgres.control
    assert control is not None
    unknown = replace(view.postgres, control=replace(control, redo_lsn=None))
    assert decide(replace(view, postgres=unknown)).actions == IN_PLACE
    clean = replace(view.postgres, control=replace(control, state="shut down"))
    assert decide(replace(view, postgres=clean)).actions == IN_PLACE


def test_nobody_hands_over_while_paused() -> None:
    view = crashed(400 * MB, settings=ClusterSettings(pause=True))
    assert decide(view).actions == (Release(),), "the lock of a paused cluster is given up, nobody is promoted"


def test_a_measured_rate_counts_instead_of_the_assumed_one() -> None:
    view = crashed(400 * MB)
    fast = replace(view, memory=replace(view.memory, replay_rate=500.0 * MB))
    assert decide(fast).actions == IN_PLACE
    assert recovery_s(fast) == pytest.approx(0.5 + 0.8)
    assert measured_rate(400 * MB, 4.5) == pytest.approx(100 * MB)
    assert measured_rate(MB, 4.5) is None
    assert measured_rate(None, 4.5) is None


def test_asynchronous_a_crash_is_no_failover_unless_it_takes_longer_than_allowed() -> None:
    in_place = (StartPrimary(NOBODY),)
    off = SyncView(None, (), 0, "9")
    assert decide(crashed(1000 * MB, settings=ASYNC, sync=off)).actions == in_place
    strict = replace(ASYNC, primary_start_timeout=10.0)
    assert decide(crashed(1000 * MB, settings=strict, sync=off)).actions == to("demo-2")
    lagging = crashed(1000 * MB, settings=strict, sync=off)
    behind = poll(answer("demo-0", lsn=END - 2 * MB), answer("demo-2", lsn=END - 2 * MB))
    assert decide(replace(lagging, poll=behind)).actions == in_place


def test_a_start_timeout_of_nothing_fails_over_at_once() -> None:
    now = ClusterSettings(primary_start_timeout=0.0)
    assert decide(crashed(0, settings=now)).actions == to("demo-0")
    off = SyncView(None, (), 0, "9")
    assert decide(crashed(0, settings=replace(now, synchronous_mode="off"), sync=off)).actions == to("demo-2")


def starting(age: float, **changes: Any) -> View:
    return crashed(MB, activity=Activity("StartPrimary", NOW - age), **changes)


def test_a_start_is_given_up_when_it_was_foreseen_wrongly() -> None:
    assert decide(starting(3.0)).actions == ()
    assert decide(starting(4.0)).actions == (Fence(), *to("demo-0"))
    assert decide(starting(4.0, sync=SyncView("demo-1", (), 0, "9"))).actions == ()
    assert decide(starting(4.0, settings=ClusterSettings(pause=True))).actions == ()


def test_asynchronous_a_start_has_its_whole_time() -> None:
    off = SyncView(None, (), 0, "9")
    settings = replace(ASYNC, primary_start_timeout=20.0)
    assert decide(starting(19.0, settings=settings, sync=off)).actions == ()
    assert decide(starting(21.0, settings=settings, sync=off)).actions == (Fence(), *to("demo-2"))


def test_a_new_agent_gives_a_start_up_only_at_the_common_bound() -> None:
    unknown = Memory(sync_written="9")
    assert decide(starting(299.0, memory=unknown)).actions == ()
    assert decide(starting(301.0, memory=unknown)).actions == (Fence(), Release())
    assert decide(starting(301.0, memory=unknown, sync=SyncView("demo-1", (), 0, "9"))).actions == ()


def test_the_older_names_of_the_timeouts_are_read_where_there_are_no_newer_ones() -> None:
    old = settings_from({"master_start_timeout": 20, "master_stop_timeout": "7"})
    assert (old.primary_start_timeout, old.primary_stop_timeout) == (20.0, 7.0)
    both = settings_from({"master_start_timeout": 20, "primary_start_timeout": 0})
    assert both.primary_start_timeout == 0.0
