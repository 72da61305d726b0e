"""Rules 3 and 4: who may take a free lock."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import ME, NOW, RECORDED, SYSID, a_view, answer, lock, poll, replica, silent

from matriarch.ha.actions import Acquire, Decision, PollPeers, Promote, Reclaim, Release, WriteInitialize, WriteSync
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.race import SETTINGS_LOST
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ConfigView, Failsafe, HistoryEntry, Memory, Request, SyncView, Tags, View

ASYNC = ClusterSettings(synchronous_mode="off")
NO_SYNC = SyncView()


def released(**changes: Any) -> View:
    base: dict[str, Any] = {"lock": lock(None), "memory": Memory(unlocked_since=NOW - 0.2)}
    return a_view(**(base | changes))


def expired(**changes: Any) -> View:
    base: dict[str, Any] = {"lock": lock("demo-0", expired=True), "memory": Memory(unlocked_since=NOW - 0.2)}
    return a_view(**(base | changes))


def took(decision: Decision) -> bool:
    return Acquire("77") in decision.actions


def test_the_only_listed_standby_takes_a_released_lock_without_asking() -> None:
    assert took(decide(released()))


def test_a_lock_that_was_deleted_is_not_taken_for_a_released_one() -> None:
    """Its leader may be well, and have a lease on the object that was there before."""
    gone = released(lock=replace(lock(None), version=None, optime=None))
    assert decide(gone).actions == (PollPeers(),)
    alive = poll(answer("demo-0", in_recovery=False), answer("demo-2"))
    assert decide(replace(gone, poll=alive)).reason == Reason.PRIMARY_STILL_ALIVE
    unheard = replace(gone, poll=poll(silent("demo-0"), answer("demo-2")))
    assert decide(unheard).actions == ()
    waited = replace(unheard, memory=Memory(unlocked_since=NOW - 2 * unheard.settings.ttl))
    assert decide(waited).actions == (), "its pod says that it is primary"
    left = tuple(replace(one, role="unknown") for one in waited.members)
    assert Acquire(None) in decide(replace(waited, members=left)).actions


def test_who_held_a_lock_that_was_deleted_may_still_promote_itself() -> None:
    """It answers as a replica, and has a lease on the object that was there before."""
    gone = replace(lock(None), version=None, optime=None)
    view = released(lock=gone, poll=poll(answer("demo-0"), answer("demo-2")))
    assert Acquire(None) in decide(view).actions, "nobody here saw one held"
    held = replace(view, lock=replace(gone, deleted_from="demo-0"))
    assert (decide(held).actions, decide(held).reason) == ((), Reason.ASKING_PEERS)
    waited = replace(held, memory=Memory(unlocked_since=NOW - 2 * held.settings.ttl))
    assert Acquire(None) in decide(waited).actions
    assert Acquire(None) in decide(replace(view, lock=replace(gone, deleted_from="demo-1"))).actions, "its own"


def test_without_a_history_on_record_no_timeline_that_somebody_has_is_made_again() -> None:
    view = released(config=replace(a_view().config, history=None), settings=ASYNC)
    on_one = replace(view, members=tuple(replace(one, timeline=1) for one in view.members))
    on_one = replace(on_one, postgres=replace(view.postgres, timeline=1), sync=SyncView())
    own = replace(on_one, poll=poll(answer("demo-0", timeline=1), answer("demo-2", timeline=1)))
    assert took(decide(own))
    former = tuple(replace(one, timeline=2) if one.name == "demo-0" else one for one in on_one.members)
    shown = replace(own, members=former, poll=poll(silent("demo-0"), answer("demo-2", timeline=1)))
    assert (decide(shown).actions, decide(shown).reason) == ((), Reason.NOT_ELIGIBLE)
    told = replace(own, poll=poll(replace(answer("demo-0", timeline=2), running=False), answer("demo-2", timeline=1)))
    assert not took(decide(told))


def test_a_request_is_no_word_that_a_deleted_lock_is_free() -> None:
    """Its leader may be cut off from the API server and go on by the word of all: a claim binds as before."""
    request = Request(None, "demo-1", None, "4")
    gone = released(lock=replace(lock(None), version=None, optime=None, seen_at=NOW), request=request)
    assert decide(gone).actions == (PollPeers(),)
    claimed = replace(gone, failsafe=Failsafe(leader="demo-0", heard_at=NOW - 2))
    assert decide(claimed).reason == Reason.NOT_ELIGIBLE
    assert decide(replace(released(), request=request)).actions[0] == Acquire("77")


def test_who_never_read_the_settings_of_a_running_cluster_does_not_take_its_lock() -> None:
    decision = decide(released(config=ConfigView(settings_seen=False)))
    assert (decision.reason, decision.facts) == (Reason.NOT_ELIGIBLE, SETTINGS_LOST)


def test_the_winner_promotes_in_the_same_decision_after_the_sync_object_says_so() -> None:
    assert decide(released()).actions == (Acquire("77"), WriteSync("demo-1", (), "9"), Promote())


def test_a_race_without_synchronous_mode_is_won_only_on_settings_and_history_that_are_not_old() -> None:
    """A watch that is late may hide that others led meanwhile, or that synchronous mode was switched on: the write
    changes nothing, and fails when the record has moved on. It comes before the lock is taken."""
    view = released(settings=ASYNC, sync=NO_SYNC, poll=poll(answer("demo-0"), answer("demo-2")))
    assert decide(view).actions == (WriteInitialize(SYSID, "5"), Acquire("77"), Promote())


def test_after_an_expiry_the_peers_are_asked_first() -> None:
    assert decide(expired()).actions == (PollPeers(),)
    assert took(decide(expired(poll=poll(silent("demo-0"), answer("demo-2")))))


def test_a_primary_that_still_answers_is_not_overtaken() -> None:
    decision = decide(expired(poll=poll(answer("demo-0", in_recovery=False), answer("demo-2"))))
    assert decision.reason == Reason.PRIMARY_STILL_ALIVE


def test_a_member_that_the_sync_object_does_not_list_never_wins() -> None:
    view = released(sync=SyncView("demo-0", ("demo-2",), 0, "9"), poll=poll(silent("demo-0"), silent("demo-2")))
    assert decide(view).reason == Reason.NOT_ELIGIBLE


def test_an_unlisted_member_that_is_ahead_does_not_stop_a_listed_one() -> None:
    assert took(decide(expired(poll=poll(silent("demo-0"), answer("demo-2", lsn=5000)))))


def test_a_listed_member_that_is_ahead_wins() -> None:
    sync = SyncView("demo-0", ("demo-1", "demo-2"), 0, "9")
    view = expired(sync=sync, poll=poll(silent("demo-0"), answer("demo-2", lsn=5000)))
    assert decide(view).reason == Reason.NOT_MOST_ADVANCED


@pytest.mark.parametrize(
    ("lsn", "timeline", "wins"), [(1000, 1, True), (1001, 1, False), (10, 2, False), (999, 1, True)]
)
def test_asynchronous_races_go_to_the_most_advanced(lsn: int, timeline: int, wins: bool) -> None:
    polled = poll(silent("demo-0"), answer("demo-2", lsn=lsn, timeline=timeline))
    assert took(decide(expired(settings=ASYNC, sync=NO_SYNC, poll=polled))) is wins


def test_a_member_too_far_behind_the_last_known_position_never_wins() -> None:
    behind = lock(None, optime=1000 + ASYNC.maximum_lag_on_failover + 1)
    view = released(settings=ASYNC, sync=NO_SYNC, lock=behind, poll=poll(silent("demo-0"), silent("demo-2")))
    assert decide(view).reason == Reason.NOT_ELIGIBLE


def test_a_stale_timeline_never_wins() -> None:
    for timeline in (None, 1):
        view = released(postgres=replica(timeline=timeline), config=RECORDED)
        assert decide(view).reason == Reason.NOT_ELIGIBLE
    assert took(decide(released(postgres=replica(timeline=2), config=RECORDED)))


def test_nothing_known_of_the_last_leader_means_waiting_for_the_silent() -> None:
    fresh = lock(None, optime=None)
    polled = poll(silent("demo-0"), answer("demo-2"))
    view = released(settings=ASYNC, sync=NO_SYNC, lock=fresh, poll=polled)
    assert decide(view).reason == Reason.ASKING_PEERS
    waited = replace(view, memory=Memory(unlocked_since=NOW - 18))
    assert took(decide(waited))


@pytest.mark.parametrize("tags", [Tags(nofailover=True), Tags(failover_priority=0)])
def test_nofailover_never_races(tags: Tags) -> None:
    assert decide(released(me=replace(ME, tags=tags))).reason == Reason.NOT_ELIGIBLE


def test_a_primary_kept_by_failsafe_is_not_raced() -> None:
    heard = lock(None, seen_at=NOW - 6)
    view = released(failsafe=Failsafe(leader="demo-0", heard_at=NOW - 5), lock=heard)
    assert decide(view).reason == Reason.NOT_ELIGIBLE
    assert took(
        decide(released(failsafe=Failsafe(leader="demo-0", heard_at=NOW - 9.1), lock=replace(heard, seen_at=0)))
    )
    since = replace(view, lock=replace(heard, seen_at=NOW - 1))
    assert took(decide(since)), "the leader reached the API server again after its claim, and gave the lock up"


def test_a_member_outside_the_failsafe_topology_does_not_race() -> None:
    view = expired(lock=lock("demo-0", expired=True, failsafe={"demo-0": "x"}))
    assert decide(view).reason == Reason.NOT_ELIGIBLE
    assert took(decide(released(lock=lock(None, failsafe={"demo-0": "x"}))))


def test_the_candidate_of_a_switchover_goes_first() -> None:
    request = Request("demo-0", "demo-2", None, "4")
    sync = SyncView("demo-0", ("demo-1", "demo-2"), 0, "9")
    view = released(sync=sync, request=request, poll=poll(silent("demo-0"), answer("demo-2")))
    assert decide(view).reason == Reason.YIELDING_TO_CANDIDATE
    mine = replace(view, request=replace(request, candidate="demo-1"))
    assert took(decide(mine))


def test_nobody_races_in_pause() -> None:
    assert decide(released(settings=ClusterSettings(pause=True))).reason == Reason.NOT_ELIGIBLE


def test_the_peers_are_asked_shortly_before_a_silent_lock_expires() -> None:
    view = a_view(lock=lock("demo-0", seen_at=NOW - 8.0))
    assert PollPeers() in decide(view).actions


def test_a_lock_that_came_late_is_given_back_when_others_got_further() -> None:
    late = a_view(lock=lock("demo-1"), settings=ASYNC, sync=NO_SYNC, postgres=replica())
    assert decide(late).actions == (PollPeers(),)
    assert decide(replace(late, poll=poll(silent("demo-0"), answer("demo-2", lsn=1001)))).actions == (Release(),)
    assert decide(replace(late, poll=poll(silent("demo-0"), answer("demo-2")))).actions == (Reclaim("77"),)


def test_equals_are_told_apart_by_priority() -> None:
    answers = poll(silent("demo-0"), answer("demo-2", priority=5))
    view = expired(settings=ASYNC, sync=NO_SYNC, poll=answers)
    assert decide(view).reason == Reason.NOT_MOST_ADVANCED
    assert took(decide(replace(view, me=replace(ME, tags=Tags(failover_priority=6)))))


def test_priority_counts_among_several_synchronous_standbys() -> None:
    """Both are listed, and both have everything (a trap of Patroni's: with several listed it was passed over)."""
    both = SyncView("demo-0", ("demo-1", "demo-2"), 0, "9")
    view = expired(sync=both, poll=poll(silent("demo-0"), answer("demo-2", priority=5)))
    assert decide(view).reason == Reason.NOT_MOST_ADVANCED
    assert took(decide(replace(view, me=replace(ME, tags=Tags(failover_priority=6)))))


def test_a_former_leader_with_the_higher_priority_does_not_stop_its_successor() -> None:
    """It has just handed over and does not want the lock back: whoever yields to it waits for nobody (a trap of
    Patroni's failover priorities)."""
    answers = poll(answer("demo-0", priority=5, handed_over=True), answer("demo-2"))
    assert took(decide(released(settings=ASYNC, sync=NO_SYNC, poll=answers)))


def test_a_former_leader_that_is_ahead_goes_before_its_successor_all_the_same() -> None:
    answers = poll(answer("demo-0", lsn=5000, handed_over=True), answer("demo-2"))
    assert decide(released(settings=ASYNC, sync=NO_SYNC, poll=answers)).reason == Reason.NOT_MOST_ADVANCED


def beside(**changes: Any) -> View:
    """This member led timeline 2 before anybody saw it; then another one did, and put it on record."""
    base: dict[str, Any] = {
        "settings": ASYNC,
        "sync": NO_SYNC,
        "config": ConfigView(True, "5", SYSID, (HistoryEntry(1, 500, "", "", "demo-0"),)),
        "postgres": replica(timeline=2, led_timeline=2, lsn=9000),
        "poll": poll(answer("demo-0", timeline=2, lsn=1000), answer("demo-2", timeline=2, lsn=1000)),
    }
    return expired(**(base | changes))


def test_a_branch_beside_the_record_never_leads_however_far_it_got() -> None:
    """Rule 5: its timeline bears the same number as the cluster's, and left the one before at the same place, so nobody
    could tell afterwards that the others' data is not on it."""
    decision = decide(beside())
    assert decision.reason is Reason.NOT_ELIGIBLE
    assert "beside the one on record, which demo-0 led" in decision.facts
    forced = Request(None, "demo-1", None, "3")
    assert decide(beside(request=forced)).reason is Reason.NOT_ELIGIBLE, "not even when a person names it"


@pytest.mark.parametrize("leader", ["demo-1", ""])
def test_its_own_timeline_on_record_and_one_of_nobody_s_name_are_no_branches(leader: str) -> None:
    mine = ConfigView(True, "5", SYSID, (HistoryEntry(1, 500, "", "", leader),))
    assert took(decide(beside(config=mine)))


def test_a_branch_beside_the_record_is_nobody_s_rival() -> None:
    ahead = answer("demo-0", timeline=2, lsn=9999, beside_record=True)
    mine = replica(timeline=2, lsn=9000)
    assert took(decide(beside(postgres=mine, poll=poll(ahead, answer("demo-2", timeline=2, lsn=1000)))))
