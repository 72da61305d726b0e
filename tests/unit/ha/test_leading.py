"""Requests, isolation, termination and the records that a leader keeps."""

from dataclasses import replace

import pytest
from unit.ha.views import (
    NOW,
    SYSID,
    a_view,
    answer,
    leading,
    lock,
    physical,
    poll,
    primary,
    replica,
    silent,
    standby,
    stopped,
)

from matriarch.ha.actions import (
    ClearRequest,
    ConfirmFailsafe,
    HandOver,
    PollPeers,
    Release,
    Renew,
    StartPrimary,
    StartReplica,
    StopPostgres,
    SyncSlots,
    WriteHistory,
    WriteInitialize,
)
from matriarch.ha.decide import decide
from matriarch.ha.lease import expired, lease_end
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.race import SETTINGS_LOST
from matriarch.ha.settings import ClusterSettings, parse_settings
from matriarch.ha.view import ConfigView, HistoryEntry, Memory, Request, SyncView, View
from matriarch.words.sync_names import every

STANDBY = parse_settings('{"standby_cluster": {"host": "main"}}')
GOOD = poll(answer("demo-0"), answer("demo-2"))


def asked(leader: str | None, candidate: str | None, **changes: object) -> View:
    base = {"request": Request(leader, candidate, None, "4"), "poll": GOOD}
    return leading(**(base | changes))


def refused(view: View) -> str:
    (action,) = decide(view).actions
    assert isinstance(action, ClearRequest)
    return action.why


def test_a_lock_that_was_deleted_is_made_again_at_once() -> None:
    """With it went the address that clients are led to."""
    gone = leading(lock=replace(lock(None), version=None, optime=None))
    assert decide(gone).actions == (Renew(),)
    assert Renew() not in decide(leading()).actions
    assert Renew() not in decide(replace(gone, listed=False)).actions, "it may be there: nothing has been listed yet"
    following = replace(gone, settings=STANDBY, postgres=replica())
    assert decide(following).actions == (Renew(),), "a standby leader does as well"


def test_a_new_agent_that_does_not_find_the_settings_leaves_the_primary_as_it_is() -> None:
    """It does not know whether commits wait for anybody: by its own defaults they would not."""
    unknown = ConfigView(settings_seen=False)
    decision = decide(leading(config=unknown, settings=ClusterSettings()))
    assert decision.actions == (WriteInitialize(SYSID, None),)
    assert decision.lead and decision.facts == SETTINGS_LOST


def test_nor_does_it_promote_a_standby_leader() -> None:
    """The settings that are gone may say that the cluster follows another one."""
    view = leading(config=ConfigView(settings_seen=False), settings=ClusterSettings(), postgres=replica())
    assert decide(view).actions == (Release(),)
    assert decide(replace(view, lease_until=None)).actions == ()
    assert Release() not in decide(replace(view, listed=False)).actions, "nothing has been listed yet"


def test_a_switchover_to_the_synchronous_standby() -> None:
    (action,) = decide(asked("demo-1", "demo-0")).actions
    assert isinstance(action, HandOver)
    assert action.candidate == "demo-0"


def test_a_candidate_that_streams_is_made_synchronous_first() -> None:
    decision = decide(asked("demo-1", "demo-2"))
    assert decision.reason == Reason.CHANGING_SYNC
    settled = asked(
        "demo-1",
        "demo-2",
        sync=SyncView("demo-1", ("demo-2",), 0, "9"),
        postgres=primary(sync_names=every(("demo-2",)), standbys=(standby("demo-2"),)),
    )
    assert isinstance(decide(settled).actions[0], HandOver)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (asked("demo-0", "demo-2"), "leader name does not match"),
        (asked("demo-1", "demo-9"), "candidate does not exist"),
        (asked("demo-1", "demo-1"), "target and source are the same"),
        (
            asked("demo-1", None, poll=poll(silent("demo-0"), silent("demo-2")), postgres=primary()),
            "demo-0 is not reachable",
        ),
        (asked("demo-1", "demo-2", poll=poll(answer("demo-0"), answer("demo-2", lsn=-9_999_999))), "lags"),
        (asked("demo-1", None, settings=ClusterSettings(pause=True)), "specific candidate"),
    ],
)
def test_refusals_say_why(view: View, words: str) -> None:
    assert words in refused(view)


def test_a_candidate_that_streams_but_answers_late_is_asked_again() -> None:
    late = asked("demo-1", "demo-0", poll=poll(silent("demo-0"), answer("demo-2")))
    assert decide(late).actions == (PollPeers(),)


def test_the_new_leader_clears_the_request_that_made_it() -> None:
    assert refused(asked("demo-0", "demo-1")) == ""
    assert refused(asked("demo-0", None)) == ""


def test_an_unreachable_api_server_asks_the_members() -> None:
    decision = decide(leading(api_ok=False, lease_until=NOW + 5))
    assert decision.actions == (ConfirmFailsafe(),)
    assert decision.lead


def test_failsafe_needs_the_mode_and_a_place_in_the_topology() -> None:
    off = leading(api_ok=False, lease_until=NOW + 5, settings=ClusterSettings(failsafe_mode=False))
    assert decide(off).actions == ()
    stranger = leading(api_ok=False, lease_until=NOW + 5, lock=lock("demo-1", failsafe={"demo-0": "x"}))
    assert decide(stranger).actions == ()


def test_a_crash_during_an_api_outage_is_repaired_in_place() -> None:
    decision = decide(leading(api_ok=False, lease_until=NOW + 8, postgres=stopped()))
    assert decision.actions[-1] == StartPrimary(every(("demo-0",)))


@pytest.mark.parametrize("recorded", [None, "", "1111111111111111111"], ids=["nothing", "begun", "another's"])
def test_what_is_not_on_record_as_the_clusters_is_not_started_during_an_api_outage(recorded: str | None) -> None:
    """Rule 6: the first member was cut off before its identifier was written, and the others gave it up. Its data has
    served nobody yet, and gives way to theirs only as long as that is so."""
    for postgres in (stopped(unborn=True), stopped()):
        view = leading(api_ok=False, lease_until=NOW + 8, postgres=postgres, config=ConfigView(True, "5", recorded, ()))
        assert decide(view).reason == Reason.FAILSAFE
        assert not any(isinstance(action, StartPrimary | StartReplica) for action in decide(view).actions)


def test_sigterm_hands_over() -> None:
    (action,) = decide(leading(memory=Memory(terminating=True))).actions
    assert isinstance(action, HandOver)
    assert decide(a_view(memory=Memory(terminating=True))).actions == (StopPostgres(),)


def test_a_new_timeline_is_published() -> None:
    assert WriteHistory(2) in decide(leading(postgres=replace(leading().postgres, timeline=2))).actions


def test_slots_are_made_for_members_and_dropped_only_after_their_ttl() -> None:
    old = replace(leading().postgres, slots=physical("demo_0", "demo_2", "demo_7"))

    def gone_for(seconds: float) -> Memory:
        return Memory(sync_written="9", slots_missing_since={"demo_7": NOW - seconds})

    assert decide(leading(postgres=old, memory=gone_for(60))).actions == ()
    late = leading(postgres=old, memory=gone_for(1801))
    assert SyncSlots(("demo_0", "demo_2"), ("demo_7",)) in decide(late).actions


def test_a_lease_ends_before_any_observer_may_act() -> None:
    """Holder's clock slow by 1 %, observer's fast by 1 %, and the record seen the moment it was sent."""
    ends = lease_end(0.0, 9.0) / 0.99
    frees = 9.0 / 1.01
    assert ends < frees
    assert not expired(0.0, 9.0, 8.99)
    assert expired(0.0, 9.0, 9.0)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_an_unreadable_document_changes_no_setting(text: str) -> None:
    before = ClusterSettings(ttl=30)
    assert parse_settings(text, before) == before


def test_settings_keep_the_ttl_formula() -> None:
    settings = parse_settings('{"ttl": 9, "loop_wait": 10, "retry_timeout": 10}')
    assert settings.loop_wait + 2 * settings.retry_timeout <= settings.ttl


def test_a_handover_that_kept_the_lock_is_tried_again_once_a_replica_streams_and_not_for_ever() -> None:
    alone = primary(sync_names=every(("demo-0",)))
    kept = Memory(sync_written="9", request_seen_at=NOW - 1, handovers_kept=1)
    waiting = asked("demo-1", "demo-0", memory=kept, postgres=alone)
    assert not any(isinstance(action, HandOver | ClearRequest) for action in decide(waiting).actions)
    assert isinstance(decide(asked("demo-1", "demo-0", memory=kept)).actions[0], HandOver)
    late = replace(kept, request_seen_at=NOW - 11)
    assert "does not stream" in refused(asked("demo-1", "demo-0", memory=late, postgres=alone))
    assert "attempts" in refused(asked("demo-1", "demo-0", memory=replace(kept, handovers_kept=3)))


def test_the_replicas_slots_come_before_any_request() -> None:
    view = asked("demo-1", "demo-0", postgres=replace(leading().postgres, slots=()))
    assert any(isinstance(action, SyncSlots) for action in decide(view).actions)


def test_a_history_of_before_the_data_was_made_anew_is_replaced() -> None:
    """A cluster on timeline 1 whose records tell of a timeline 4 could never elect anybody: all would be too old."""
    older = ConfigView(True, "5", SYSID, (HistoryEntry(3, 5000),))
    assert WriteHistory(1) in decide(leading(config=older)).actions
    assert WriteHistory(1) not in decide(leading()).actions


def test_a_query_that_is_not_answered_costs_no_leadership() -> None:
    """The server is busy, or the statement timeout hit the question about its state: that is no reason to demote a
    primary (a trap of Patroni's)."""
    decision = decide(leading(postgres=replace(leading().postgres, in_recovery=None, lsn=None, timeline=None)))
    assert decision.lead
    assert decision.actions == ()
