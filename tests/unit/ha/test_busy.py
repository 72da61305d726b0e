"""Long activities: waited for, and given up when another member could lead meanwhile."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, leading, lock, member, replica, stopped

from matriarch.ha.actions import Fence, Release, StopPostgres
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, Memory, PostgresView, Request, SyncView, Tags, Upstream, View

ASYNC = ClusterSettings(synchronous_mode="off")


def at(name: str, seconds: float, **changes: Any) -> View:
    """The leader of an asynchronous cluster, so long at an activity."""
    postgres = replace(stopped(), process="starting", in_recovery=True)
    base = leading(postgres=postgres, settings=ASYNC, sync=SyncView(), activity=Activity(name, NOW - seconds))
    return replace(base, **changes)


@pytest.mark.parametrize("name", ["StartPrimary", "StartReplica", "Promote", "Restart"])
def test_a_leader_that_gets_no_primary_up_gives_the_lock_up(name: str) -> None:
    """Crash recovery without an end, or a server that hangs while it is promoted: the lock is not renewed for ever."""
    assert decide(at(name, 299)).reason == Reason.BUSY
    assert decide(at(name, 301)).actions == (Fence(), Release())
    patient = replace(ASYNC, primary_start_timeout=0)
    assert decide(at(name, 9999, settings=patient)).reason == Reason.BUSY


def test_crash_recovery_is_not_broken_off_for_nobody() -> None:
    """Where no other member may lead, it would only begin anew."""
    barred = tuple(member(name, tags=Tags(nofailover=True)) for name in ("demo-0", "demo-2"))
    down = tuple(member(name, state="stopped") for name in ("demo-0", "demo-2"))
    alone = SyncView("demo-1", (), 0, "9")
    for changes in ({"members": barred}, {"members": down}, {"settings": ClusterSettings(), "sync": alone}):
        decision = decide(at("StartPrimary", 301, **changes))
        assert (decision.reason, decision.lead) == (Reason.BUSY, True)


def test_a_replica_may_start_as_slowly_as_it_likes() -> None:
    slow = a_view(activity=Activity("StartReplica", NOW - 9999), postgres=replica(process="starting"))
    assert decide(slow).reason == Reason.BUSY


def test_a_copy_is_broken_off_when_the_pod_ends() -> None:
    view = a_view(activity=Activity("Clone", NOW - 10), memory=Memory(terminating=True), postgres=stopped())
    assert decide(view).actions == (StopPostgres(),)


def test_a_handover_that_takes_long_is_not_begun_a_second_time() -> None:
    """Neither by its own request, which is still pending, nor because the pod ends meanwhile."""
    slow = leading(activity=Activity("HandOver", NOW - 20), request=Request("demo-1", "demo-0", None, "4"))
    for memory in (Memory(sync_written="9"), Memory(sync_written="9", terminating=True)):
        decision = decide(replace(slow, memory=memory))
        assert (decision.actions, decision.reason, decision.lead) == ((), Reason.BUSY, True)


def test_a_start_that_waits_for_wal_of_a_source_that_is_gone_is_broken_off() -> None:
    """The data was rewound, and needs what its source wrote up to the end of that before it can be used."""
    waiting = a_view(
        postgres=replace(stopped(), process="starting", in_recovery=True, unproven=True),
        activity=Activity("StartReplica", NOW - 11),
        memory=Memory(followed=Upstream("demo-2", "10.0.0.2"), followed_epoch=2),
    )
    assert decide(waiting).actions == (Fence(),)
    moved = replace(waiting, memory=replace(waiting.memory, followed=Upstream("demo-0", "10.0.0.9")))
    assert decide(moved).actions == (Fence(),), "the same leader, with another address"
    for goes_on in (
        {"activity": Activity("StartReplica", NOW - 9)},
        {"memory": Memory(followed=Upstream("demo-0", "10.0.0.0"), followed_epoch=3)},
        {"postgres": replace(waiting.postgres, unproven=False)},
        {"lock": lock(None)},
    ):
        assert decide(replace(waiting, **goes_on)).actions == ()  # type: ignore[arg-type]


def test_a_leader_on_rewound_data_that_does_not_come_up_lets_others_lead() -> None:
    """It holds the lock of what was a standby cluster, and nobody sends the WAL that it may need."""
    assert decide(at("StartReplica", 9, postgres=unproven())).actions == ()
    assert decide(at("StartReplica", 11, postgres=unproven())).actions == (Fence(), Release())
    fed = Memory(followed=Upstream("far", "far", remote=True))
    assert decide(at("StartReplica", 11, postgres=unproven(), memory=fed)).actions == ()


def unproven() -> PostgresView:
    return replace(stopped(), process="starting", in_recovery=True, unproven=True)


def test_a_start_that_an_agent_before_it_began_has_the_same_bound() -> None:
    """The agent was killed while WAL is replayed: there is no activity, and no lock that is renewed for ever either."""

    def begun(seconds: float, **changes: Any) -> View:
        postgres = replace(stopped(), process="starting", starting_since=NOW - seconds)
        return replace(leading(postgres=postgres, settings=ASYNC, sync=SyncView()), **changes)

    assert decide(begun(299)).reason == Reason.STARTING_PRIMARY
    assert decide(begun(301)).actions == (Fence(), Release())
    patient = decide(begun(9999, settings=replace(ASYNC, primary_start_timeout=0)))
    alone = decide(begun(9999, members=tuple(member(name, state="stopped") for name in ("demo-0", "demo-2"))))
    paused = decide(begun(9999, settings=replace(ASYNC, pause=True)))
    for decision in (patient, alone, paused):
        assert (decision.reason, decision.lead) == (Reason.STARTING_PRIMARY, True)
