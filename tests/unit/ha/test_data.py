"""Rules 5 and 7: what data may be used for, who starts how, who may initialise a cluster."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, RECORDED, SYSID, a_view, answer, leading, lock, poll, remote, replica, silent, stopped

from matriarch.ha.actions import (
    Acquire,
    AskLeader,
    Bootstrap,
    Clone,
    Follow,
    PollPeers,
    Reclaim,
    Release,
    Restart,
    Rewind,
    StartPrimary,
    StartReplica,
    WriteInitialize,
    WriteSync,
)
from matriarch.ha.decide import decide
from matriarch.ha.divergence import Verdict, judge
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.polling import known_to_have_data
from matriarch.ha.rules.race import SETTINGS_LOST
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import (
    ConfigView,
    ControlData,
    HistoryEntry,
    LockView,
    Memory,
    PostgresView,
    SyncView,
    Upstream,
    View,
)
from matriarch.words.sync_names import every

DEMO_0 = Upstream("demo-0", "10.0.0.0")
EMPTY = PostgresView(data="empty")
NEW = ConfigView(True, "5", None, None)


@pytest.mark.parametrize(
    ("local", "leader", "verdict"),
    [
        (replica(), remote(timeline=1), Verdict.STREAM),
        (replica(), remote(t1=1000), Verdict.STREAM),
        (replica(), remote(t1=999), Verdict.REWIND),
        (replica(), remote(timeline=3, t2=5000), Verdict.REWIND),
        (replica(timeline=3), remote(t1=1000), Verdict.REWIND),
        (replica(lsn=None), remote(t1=1000), Verdict.UNKNOWN),
        (replica(timeline=2, led_timeline=2), remote(t1=1000), Verdict.RECLONE),
        (stopped("shut down"), remote(t1=1000), Verdict.STREAM),
        (stopped("shut down"), remote(t1=999), Verdict.REWIND),
        (stopped("in production"), remote(t1=5000), Verdict.REWIND),
        (stopped("in production"), remote(timeline=1), Verdict.RECLONE),
        (stopped("shut down in recovery"), remote(timeline=1), Verdict.STREAM),
        (stopped("in archive recovery"), remote(t1=5000), Verdict.UNKNOWN),
        (stopped(control=None), remote(t1=1000), Verdict.UNKNOWN),
    ],
)
def test_divergence(local: PostgresView, leader: Any, verdict: Verdict) -> None:
    assert judge(local, leader, "demo-1", ()) is verdict


def test_a_timeline_that_nobody_saw_is_not_the_one_of_the_same_number() -> None:
    """demo-1 led timeline 2 and died unseen; another member led timeline 2 as well, a third leads 3."""
    leader = remote(timeline=3, t1=500, t2=5000)
    other = (HistoryEntry(1, 500, leader="demo-2"),)
    mine = (HistoryEntry(1, 500, leader="demo-1"),)
    assert judge(replica(timeline=2, led_timeline=2), leader, "demo-1", other) is Verdict.RECLONE
    assert judge(replica(timeline=2, led_timeline=2), leader, "demo-1", None) is Verdict.RECLONE
    assert judge(replica(timeline=2, led_timeline=2), leader, "demo-1", mine) is Verdict.STREAM


def test_a_replica_asks_a_new_leader_before_it_streams() -> None:
    view = a_view(lock=lock("demo-0", epoch=4), config=RECORDED)
    assert AskLeader(DEMO_0) in decide(view).actions
    knows = replace(view, memory=replace(view.memory, remote=replace(remote(t1=1000), epoch=4)))
    assert decide(knows).actions == (Follow(DEMO_0),)
    diverged = replace(view, memory=replace(view.memory, remote=replace(remote(t1=10), epoch=4)))
    assert decide(diverged).actions == (Rewind(DEMO_0),)


def test_a_leader_still_in_recovery_proves_nothing() -> None:
    view = a_view(memory=Memory(remote=replace(remote(t1=1000), in_recovery=True)))
    assert AskLeader(DEMO_0) in decide(view).actions


def test_a_timeline_that_is_not_on_record_is_followed_by_nobody() -> None:
    """Were its leader lost now, another member could be promoted to the same number at the same position, and whoever
    had followed the first could not be told from those who follow the second."""
    view = a_view(memory=replace(a_view().memory, followed_epoch=2, remote=remote(t1=1000)))
    assert decide(view).actions == ()
    assert decide(replace(view, config=RECORDED)).actions == (Follow(DEMO_0),)
    down = a_view(postgres=stopped("shut down"), memory=Memory(remote=remote(t1=1000)))
    assert decide(down).actions == ()


def test_what_cannot_be_rewound_is_copied_only_when_allowed() -> None:
    memory = Memory(remote=remote(t1=10), rewind_failed=True)
    assert decide(a_view(memory=memory, config=RECORDED)).actions == (Clone(DEMO_0),)
    forbidden = a_view(memory=memory, config=RECORDED, settings=ClusterSettings(reclone_on_diverged=False))
    assert decide(forbidden).reason == Reason.DIVERGED


def test_rewound_data_follows_its_source_at_once() -> None:
    memory = Memory(rewound_epoch=3, rewound_from="demo-0")
    assert decide(a_view(postgres=stopped(), memory=memory)).actions == (StartReplica(DEMO_0),)


def test_a_crashed_leader_restarts_in_place() -> None:
    assert decide(leading(postgres=stopped())).actions == (StartPrimary(every(("demo-0",))),)


def test_a_leader_that_was_a_replica_starts_as_one_and_is_promoted() -> None:
    assert decide(leading(postgres=stopped("in archive recovery"))).actions == (StartReplica(None),)


def test_a_leader_whose_postgres_does_not_start_lets_others_lead() -> None:
    assert decide(leading(postgres=stopped(failures=2))).actions == (Release(),)


def test_a_replica_is_copied_anew_for_its_data_and_never_for_a_parameter() -> None:
    def facing(failures: int, over_data: int, ago_s: float = 1.0) -> View:
        postgres = stopped("in archive recovery", failures=failures, data_failures=over_data, last_error="it says why")
        return a_view(postgres=postgres, memory=Memory(start_failed_at=NOW - ago_s))

    decision = decide(facing(5, 5))
    assert [type(action) for action in decision.actions] == [Clone] and "it says why" in decision.facts
    assert not any(isinstance(action, Clone) for action in decide(facing(9, 4)).actions)
    unreadable = facing(5, 0)
    unreadable = replace(unreadable, postgres=replace(unreadable.postgres, control=None))
    assert [type(action) for action in decide(unreadable).actions] == [Clone]
    for failures in (5, 500):
        waiting = decide(facing(failures, 0))
        assert (waiting.reason, waiting.actions, waiting.facts) == (Reason.START_FAILED, (), "it says why")
        assert decide(facing(failures, 0, ago_s=11)).actions, "now and then it tries again"


def test_a_restarted_container_takes_its_lock_up_again() -> None:
    view = leading(postgres=stopped(), lease_until=None)
    assert decide(view).actions == (Reclaim("77"), StartPrimary(every(("demo-0",))))
    fresh = replace(view, memory=Memory())
    sure = WriteSync("demo-1", ("demo-0",), "9")
    assert decide(fresh).actions == (Reclaim("77"), sure, StartPrimary(every(("demo-0",))))
    elsewhere = replace(view, lock=lock("demo-1", address_uid="uid-old", address_node="n9"))
    assert decide(elsewhere).actions == ()
    over = replace(elsewhere, lock=replace(elsewhere.lock, expired=True))
    assert decide(over).actions == (Reclaim("77"), StartPrimary(every(("demo-0",))))
    shared = replace(view, memory=Memory(data_held=False))
    assert decide(shared).actions == ()


def test_a_stopped_member_of_a_leaderless_cluster_starts_following_nobody() -> None:
    view = a_view(lock=lock(None), postgres=stopped("shut down"))
    assert decide(view).actions == (StartReplica(None),)


def test_a_reclaimed_lock_promotes_nobody_who_is_not_listed() -> None:
    view = leading(postgres=replica(), sync=SyncView("demo-0", ("demo-2",), 0, "9"))
    assert decide(view).actions == (Release(),)


def test_an_empty_member_copies_a_running_primary() -> None:
    assert decide(a_view(postgres=EMPTY)).actions == (Clone(DEMO_0),)


def test_an_empty_member_of_an_initialised_cluster_never_initialises() -> None:
    view = a_view(postgres=EMPTY, lock=lock(None), poll=poll(answer("demo-0", empty=True), silent("demo-2")))
    assert decide(view).reason == Reason.WAITING_FOR_BOOTSTRAP


def test_the_first_member_initialises_when_all_say_they_are_empty() -> None:
    view = a_view(postgres=EMPTY, lock=LockView(None, "77"), config=NEW, memory=Memory(unlocked_since=NOW))
    assert decide(view).actions == (PollPeers(),)
    empty = poll(answer("demo-0", empty=True), answer("demo-2", empty=True))
    assert decide(replace(view, poll=empty)).actions == (Acquire("77"),)
    unsure = replace(view, poll=poll(answer("demo-0", empty=True), silent("demo-2")))
    assert decide(unsure).actions == ()
    data = replace(view, poll=poll(answer("demo-0", empty=True), answer("demo-2")), memory=Memory(unlocked_since=0))
    assert decide(data).actions == ()


def test_whoever_knows_of_data_waits_for_it_also_when_nobody_is_there_to_say_so() -> None:
    """The pod that has it is gone for now. Its volume is not, and comes back with it."""
    memory = Memory(unlocked_since=0, have_data=("demo-2",))
    view = a_view(postgres=EMPTY, lock=LockView(None, "77"), config=NEW, memory=memory)
    gone = replace(view, members=view.members[:2], poll=poll(answer("demo-0", empty=True)))
    assert (decide(gone).actions, decide(gone).reason) == ((), Reason.WAITING_FOR_BOOTSTRAP)
    assert "demo-2" in decide(gone).facts
    assert decide(replace(view, poll=poll(answer("demo-0", empty=True), silent("demo-2")))).actions == ()
    unknown = replace(gone, memory=Memory(unlocked_since=0))
    assert decide(unknown).actions == (Acquire("77"),)


def test_data_is_known_until_its_member_says_that_it_has_none() -> None:
    first = known_to_have_data((), poll(answer("demo-0"), answer("demo-2", empty=True), silent("demo-3")))
    assert first == ("demo-0",)
    assert known_to_have_data(first, poll(silent("demo-0"), answer("demo-2"))) == ("demo-0", "demo-2")
    assert known_to_have_data(first, poll()) == ("demo-0",)
    assert known_to_have_data(first, poll(answer("demo-0", empty=True))) == ()


def test_who_is_silent_and_whose_pod_shows_data_is_waited_for() -> None:
    """All records were deleted, and the primary cannot be asked: it goes on under failsafe, and its pod tells so."""
    memory = Memory(unlocked_since=0)
    view = a_view(postgres=EMPTY, lock=LockView(None, "77"), config=NEW, memory=memory)
    view = replace(view, sync=SyncView(), poll=poll(silent("demo-0"), answer("demo-2", empty=True)))
    shown = tuple(replace(one, lsn=900) if one.name == "demo-0" else replace(one, lsn=None) for one in view.members)
    never = tuple(replace(one, lsn=None) for one in view.members)
    waits = decide(replace(view, members=shown))
    assert (waits.actions, waits.reason) == ((), Reason.WAITING_FOR_BOOTSTRAP)
    assert decide(replace(view, members=never)).actions == (Acquire("77"),)


def test_the_holder_of_the_lock_initialises_under_its_lease() -> None:
    new = lock("demo-1", optime=None)
    view = leading(postgres=EMPTY, config=NEW, lock=new)
    assert decide(view).actions == (WriteInitialize("", "5"), Bootstrap())
    assert decide(replace(view, lease_until=None)).actions == (Reclaim("77"),)
    claimed = replace(view, config=replace(NEW, initialize=""))
    assert decide(claimed).actions == (WriteInitialize("", "5"), Bootstrap()), "an old record must not let it through"


def test_a_cluster_whose_record_has_been_deleted_is_not_initialised_again() -> None:
    """The lock tells a primary's position: its data is somewhere."""
    view = leading(postgres=EMPTY, config=ConfigView(settings_seen=True))
    assert decide(view).actions == (Release(),)
    empty = replace(view, lock=lock(None), lease_until=None, poll=poll(answer("demo-0", empty=True)))
    assert (decide(empty).actions, decide(empty).reason) == ((), Reason.WAITING_FOR_BOOTSTRAP)


def test_who_never_read_the_settings_of_a_running_cluster_does_not_lead_it() -> None:
    """They may be strict, or say that the cluster follows another one; whoever knows them puts them back."""
    unknown = ConfigView(settings_seen=False)
    held = leading(postgres=stopped(), config=unknown)
    assert (decide(held).actions, decide(held).facts) == ((Release(),), SETTINGS_LOST)
    assert decide(replace(held, lease_until=None)).actions == ()


def test_a_leader_that_lost_its_volume_gives_the_lock_up() -> None:
    assert decide(leading(postgres=EMPTY)).actions == (Release(),)


def test_replay_that_waits_for_greater_parameters_gets_them_by_a_restart() -> None:
    pending = {"max_connections": {"old_value": "100", "new_value": "130"}}
    waiting = replica(replay_paused=True, pending_restart=pending)
    assert decide(a_view(postgres=waiting)).actions == (Restart(False, DEMO_0),)
    assert decide(a_view(postgres=replica(replay_paused=True))).actions == ()


def test_a_failed_rewind_copies_anew_where_that_alone_is_allowed() -> None:
    settings = ClusterSettings(reclone_on_diverged=False, reclone_on_rewind_failure=True)
    memory = Memory(remote=remote("demo-0", 2, t1=700))
    stopped_primary = stopped("in production")
    view = a_view(config=RECORDED, settings=settings, memory=memory, postgres=stopped_primary)
    assert decide(view).actions == (Rewind(DEMO_0),)
    failed = replace(view, memory=replace(memory, rewind_failed=True))
    assert decide(failed).actions == (Clone(DEMO_0),)
    neither = replace(settings, reclone_on_rewind_failure=False)
    assert decide(replace(failed, settings=neither)).reason == Reason.DIVERGED


def test_a_primary_that_went_on_to_another_timeline_without_losing_the_lock_is_asked_again() -> None:
    """Isolated replicas that only wait for WAL would never notice that they have parted from it."""
    followed = Memory(followed=DEMO_0, followed_epoch=3, starved_since=NOW - 11)
    waiting = replica(streaming=False, lsn=1000)
    assert decide(a_view(memory=followed, postgres=waiting)).actions[0] == AskLeader(DEMO_0)
    told = replace(followed, remote=replace(remote("demo-0", 2, t1=700), asked_at=NOW - 1))
    assert decide(a_view(memory=told, postgres=waiting, config=RECORDED)).actions == (Rewind(DEMO_0),)


def test_a_replica_whose_wal_is_gone_at_the_leader_is_copied_anew() -> None:
    """A rejoin that cannot progress is noticed: it neither waits for a person nor asks for removed WAL for ever."""
    starved = replace(a_view().memory, starved_since=NOW - 11)
    gone = replace(remote(timeline=1), asked_at=NOW - 1, oldest=2000)
    view = a_view(postgres=replica(streaming=False), memory=replace(starved, remote=gone))
    assert decide(view).actions == (Clone(DEMO_0),)


@pytest.mark.parametrize(
    ("timeline", "end", "leader", "verdict"),
    [
        (2, 5000, remote(timeline=2, t1=1000), Verdict.STREAM),
        (2, 5000, remote(timeline=3, t1=1000, t2=5000), Verdict.STREAM),
        (2, 5001, remote(timeline=3, t1=1000, t2=5000), Verdict.RECLONE),
        (4, 5000, remote(timeline=3, t1=1000, t2=5000), Verdict.RECLONE),
        (2, None, remote(timeline=3, t1=1000, t2=5000), Verdict.UNKNOWN),
    ],
)
def test_rewound_data_on_which_nothing_came_up_yet_is_judged_by_where_its_source_ended(
    timeline: int, end: int | None, leader: Any, verdict: Verdict
) -> None:
    """It cannot be started to find out: the start waits for WAL that its source took along."""
    control = ControlData("in archive recovery", SYSID, timeline, 900, None, consistent_at=end)
    assert judge(stopped(control=control, unproven=True), leader, "demo-1", ()) is verdict
