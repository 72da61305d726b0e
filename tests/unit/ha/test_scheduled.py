"""Restarts and switchovers at a time: when they are done, and when they are given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.document_cases import WALL, facts_of, primary_postgres, replica_postgres, view_of
from unit.ha.views import NOW, a_view, answer, leading, lock, poll, primary, replica, standby, stopped

from matriarch.ha.actions import Acquire, Clone, Fence, ForgetRestart, HandOver, Release, Restart
from matriarch.ha.decide import decide
from matriarch.ha.documents import (
    Refusal,
    patroni_document,
    read_restart_request,
    scheduled_restart_from,
    status_document,
)
from matriarch.ha.reasons import Reason
from matriarch.ha.scheduled import RestartFilters, ScheduledRestart
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, Memory, Request, SyncView, Upstream, View
from matriarch.words.sync_names import every

STARTED = "2026-11-21 08:00:00.000001+00:00"
AT = a_view().wall


def planned(in_s: float, **more: Any) -> ScheduledRestart:
    return ScheduledRestart(AT + in_s, "2027-01-15T08:00:00+00:00", **({"postmaster_start_time": STARTED} | more))


def led(scheduled: ScheduledRestart, **changes: Any) -> View:
    postgres = changes.pop("postgres", {})
    return leading(
        memory=Memory(sync_written="9", scheduled_restart=scheduled),
        postgres=primary(
            postmaster_start_time=STARTED, sync_names=every(("demo-0",)), standbys=(standby("demo-0"),), **postgres
        ),
        **changes,
    )


def followed(scheduled: ScheduledRestart, **changes: Any) -> View:
    memory = Memory(followed=Upstream("demo-0", "10.0.0.0"), followed_epoch=3, scheduled_restart=scheduled)
    postgres = replica(postmaster_start_time=STARTED, **changes.pop("postgres", {}))
    return a_view(memory=memory, postgres=postgres, **changes)


@pytest.mark.parametrize("make", [led, followed])
def test_it_waits_for_its_time_and_wakes_for_it(make: Any) -> None:
    decision = decide(make(planned(0.4)))
    assert not any(isinstance(action, Restart | ForgetRestart) for action in decision.actions)
    assert decision.wake_in == pytest.approx(0.4)
    assert decide(make(planned(3600))).wake_in <= 3.0


@pytest.mark.parametrize(("make", "as_primary"), [(led, True), (followed, False)])
@pytest.mark.parametrize("late", [0.0, 14.0])
def test_it_is_done_once_at_its_time(make: Any, as_primary: bool, late: float) -> None:
    decision = decide(make(planned(-late, timeout=30.0)))
    forget, restart = decision.actions[-2:]
    assert forget == ForgetRestart("")
    assert isinstance(restart, Restart)
    assert (restart.as_primary, restart.within) == (as_primary, 30.0)
    assert decision.reason == Reason.RESTARTING
    assert decision.lead is as_primary


OLDER = RestartFilters(below=170006, version="17.6")
PENDING = {"max_connections": {"old_value": "100", "new_value": "200"}}


@pytest.mark.parametrize("make", [led, followed])
@pytest.mark.parametrize(
    ("scheduled", "postgres", "why"),
    [
        (planned(-16.0), {}, "time is past"),
        (planned(100, postmaster_start_time="2026-11-20 08:00:00+00:00"), {}, "restarted meanwhile"),
        (planned(0, filters=RestartFilters(role="standby_leader")), {}, "the role is"),
        (
            planned(0, filters=RestartFilters(below=170006, version="17.6")),
            {"server_version": 170006},
            "not below 17.6",
        ),
        (planned(0, filters=OLDER), {}, "not below 17.6"),
        (planned(0, filters=RestartFilters(pending=True)), {}, "nothing waits"),
    ],
)
def test_it_is_given_up_with_a_reason(
    make: Any, scheduled: ScheduledRestart, postgres: dict[str, Any], why: str
) -> None:
    actions = decide(make(scheduled, postgres=postgres)).actions
    assert not any(isinstance(action, Restart) for action in actions)
    (forget,) = [action for action in actions if isinstance(action, ForgetRestart)]
    assert why in forget.why


@pytest.mark.parametrize("make", [led, followed])
def test_filters_that_hold(make: Any) -> None:
    filters = RestartFilters(below=170007, version="17.7", pending=True)
    view = make(planned(0, filters=filters), postgres={"server_version": 170006, "pending_restart": PENDING})
    assert any(isinstance(action, Restart) for action in decide(view).actions)


@pytest.mark.parametrize("make", [led, followed])
def test_filters_are_asked_when_it_is_due_and_not_before(make: Any) -> None:
    view = make(planned(5, filters=RestartFilters(pending=True)))
    assert not any(isinstance(action, ForgetRestart) for action in decide(view).actions)


@pytest.mark.parametrize("make", [led, followed])
def test_nothing_scheduled_is_done_while_paused(make: Any) -> None:
    actions = decide(make(planned(-1), settings=ClusterSettings(pause=True))).actions
    assert not any(isinstance(action, Restart | ForgetRestart) for action in actions)
    late = decide(make(planned(-60), settings=ClusterSettings(pause=True))).actions
    assert any(isinstance(action, ForgetRestart) for action in late)


def test_an_unknown_start_time_is_not_another_one() -> None:
    view = led(planned(100))
    unsure = replace(view, postgres=replace(view.postgres, postmaster_start_time=None))
    assert not any(isinstance(action, ForgetRestart) for action in decide(unsure).actions)


def test_a_leader_that_is_not_back_in_time_lets_somebody_else_lead() -> None:
    def restarting(since: float, within: float | None) -> View:
        return leading(activity=Activity("Restart", since, within), postgres=stopped())

    assert decide(restarting(NOW - 31, 30.0)).actions == (Fence(), Release())
    assert decide(restarting(NOW - 29, 30.0)).actions == ()
    assert decide(restarting(NOW - 299, None)).actions == ()
    assert decide(restarting(NOW - 301, None)).actions == (Fence(), Release())
    alone = restarting(NOW - 31, 30.0)
    assert decide(replace(alone, members=alone.members[1:2])).actions == ()


# --- switchover -------------------------------------------------------------------------------------------------------


def switch(in_s: float, candidate: str | None = "demo-0", **changes: Any) -> View:
    request = Request("demo-1", candidate, AT + in_s, "4")
    base = {"request": request, "poll": poll(answer("demo-0"), answer("demo-2"))}
    return leading(**(base | changes))


def test_a_switchover_waits_for_its_time() -> None:
    decision = decide(switch(0.3))
    assert decision.reason == Reason.LEADING and decision.wake_in == pytest.approx(0.3)
    assert any(isinstance(action, HandOver) for action in decide(switch(0.0)).actions)
    assert decide(switch(-16.0)).reason == Reason.REFUSING_REQUEST


def test_what_is_not_due_is_not_judged_yet() -> None:
    assert decide(switch(3600, "demo-9")).reason == Reason.LEADING
    assert decide(switch(0, "demo-9")).reason == Reason.REFUSING_REQUEST
    paused = decide(switch(-1, settings=ClusterSettings(pause=True)))
    assert paused.reason == Reason.LEADING


def test_a_candidate_has_time_to_stream_from_when_it_is_due() -> None:
    waiting = Memory(sync_written="9", request_seen_at=NOW - 3600)
    nobody = primary(sync_names=every(("demo-0",)), standbys=())
    view = switch(-1.0, memory=waiting, postgres=nobody)
    assert decide(view).reason != Reason.REFUSING_REQUEST
    assert decide(switch(-11.0, memory=waiting, postgres=nobody)).reason == Reason.REFUSING_REQUEST


@pytest.mark.parametrize(("in_s", "takes"), [(3600, False), (0, True)])
def test_a_switchover_for_tomorrow_gives_nobody_the_lock_today(in_s: float, takes: bool) -> None:
    """Rule 4: the primary died with a switchover planned; the most advanced member is to have the lock."""
    view = a_view(
        lock=lock(None),
        sync=SyncView(),
        settings=ClusterSettings(synchronous_mode="off"),
        request=Request("demo-0", "demo-1", AT + in_s, "4"),
        poll=poll(answer("demo-2", lsn=1500)),
    )
    assert any(isinstance(action, Acquire) for action in decide(view).actions) is takes


# --- a new copy on a person's word ------------------------------------------------------------------------------------

WISH = Memory(reinitialize=True)


@pytest.mark.parametrize(
    "view",
    [
        a_view(memory=WISH),
        a_view(memory=WISH, postgres=stopped("in archive recovery")),
        a_view(memory=WISH, postgres=stopped("in production", failures=3)),
        a_view(memory=WISH, postgres=stopped(), settings=ClusterSettings(pause=True)),
        a_view(memory=WISH, postgres=stopped(sysid="7000000000000000001")),
        a_view(memory=WISH, postgres=replica(sysid="7000000000000000001")),
    ],
)
def test_a_new_copy_is_made_of_whatever_is_there(view: View) -> None:
    assert decide(view).actions == (Clone(Upstream("demo-0", "10.0.0.0")),)


def test_no_new_copy_without_a_leader_to_copy_from() -> None:
    for holder in (None, "demo-1"):
        view = a_view(memory=WISH, lock=lock(holder), postgres=stopped())
        assert not any(isinstance(action, Clone) for action in decide(view).actions)


# --- words ------------------------------------------------------------------------------------------------------------

LATER = "2030-01-01T01:00:00+01:00"


def test_what_was_asked_for_is_shown_and_read_back() -> None:
    body = {
        "schedule": LATER,
        "role": "primary",
        "postgres_version": "17.9",
        "timeout": "5min",
        "restart_pending": True,
    }
    asked = read_restart_request(body, facts_of(view_of(postgres=primary_postgres())))
    assert not isinstance(asked, Refusal) and asked.scheduled is not None
    view = view_of(memory=Memory(scheduled_restart=asked.scheduled))
    shown = {
        "schedule": "2030-01-01T00:00:00+00:00",
        "role": "primary",
        "postgres_version": "17.9",
        "restart_pending": True,
        "timeout": 300,
    }
    assert patroni_document(facts_of(view))["scheduled_restart"] == shown
    status = status_document(view)
    assert status["scheduled_restart"] == {**shown, "postmaster_start_time": STARTED}
    assert scheduled_restart_from(status) == asked.scheduled


@pytest.mark.parametrize(
    ("body", "pause", "expected"),
    [
        ({"schedule": LATER}, True, Refusal(500, "Can't schedule restart in the paused state")),
        ({"schedule": "2020-01-01T00:00:00Z"}, False, Refusal(422, "Cannot schedule restart in the past")),
        (
            {"schedule": "2030-01-01 00:00"},
            False,
            Refusal(400, "Timezone information is mandatory for the scheduled restart"),
        ),
        ({"schedule": LATER, "color": 1}, False, Refusal(400, "Unknown filter for the scheduled restart: color")),
        (
            {"schedule": LATER, "role": "boss"},
            False,
            Refusal(400, "PostgreSQL role should be either primary, standby_leader, or replica"),
        ),
    ],
)
def test_refused_words(body: dict[str, Any], pause: bool, expected: Refusal) -> None:
    view = view_of("demo-1", postgres=replica_postgres(), settings=ClusterSettings(pause=pause))
    assert read_restart_request(body, facts_of(view)) == expected


def test_a_time_without_the_moment_s_filters_is_taken() -> None:
    """Filters are for the moment when it is due."""
    asked = read_restart_request({"schedule": LATER, "role": "primary"}, facts_of(view_of("demo-1")))
    assert not isinstance(asked, Refusal) and asked.scheduled is not None and asked.scheduled.at > WALL


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"schedule": 5},
        {"schedule": "tomorrow"},
        {"schedule": "2030-01-01T00:00:00"},
        {"schedule": LATER, "role": "boss"},
        {"schedule": LATER, "role": ["primary"]},
        {"schedule": LATER, "postgres_version": "x"},
        {"schedule": LATER, "timeout": -1},
        {"schedule": LATER, "only_on_mondays": True},
    ],
)
def test_half_a_wish_is_none(said: object) -> None:
    assert scheduled_restart_from({"scheduled_restart": said}) is None
