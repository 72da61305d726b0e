"""Pause: what it stops, and everything that it does not stop. A pause is never a licence (rules 1 and 2)."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, RECORDED, SYSID, a_view, answer, leading, lock, poll, primary, remote, replica, stopped

from matriarch.ha.actions import (
    Acquire,
    ApplySettings,
    AskLeader,
    ClearRequest,
    Clone,
    Fence,
    Follow,
    HandOver,
    Reclaim,
    Release,
    Restart,
    StartPrimary,
    StartReplica,
    StopPostgres,
)
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ConfigView, Memory, PostgresView, Request, SyncView, Upstream, View
from matriarch.words.sync_names import every

PAUSED = ClusterSettings(pause=True)
DEMO_0 = Upstream("demo-0", "10.0.0.0")
SURE = Memory(sync_written="9")


def paused(view: View, **changes: Any) -> View:
    return replace(view, settings=replace(view.settings, pause=True), **changes)


def down(**changes: Any) -> View:
    """A replica of a paused cluster whose Postgres is down."""
    return paused(a_view(postgres=stopped("shut down in recovery"), **changes))


def down_leader(**changes: Any) -> View:
    """The leader of a paused cluster whose Postgres is down."""
    base = leading(postgres=stopped("in production"), memory=SURE)
    return paused(base, **changes)


def test_a_paused_leader_goes_on_leading() -> None:
    decision = decide(paused(leading()))
    assert (decision.reason, decision.lead) == (Reason.LEADING, True)


def test_a_paused_replica_follows_a_leader_that_changed() -> None:
    """After a switchover that a person asked for the others have to follow, paused or not."""
    view = paused(a_view(lock=lock("demo-0", epoch=4), config=RECORDED))
    assert AskLeader(DEMO_0) in decide(view).actions
    knows = replace(view, memory=replace(view.memory, remote=replace(remote(t1=1000), epoch=4)))
    assert decide(knows).actions == (Follow(DEMO_0),)


def test_a_free_lock_without_a_leader_changes_nothing_of_a_paused_replica() -> None:
    """The lock's object is there, and names nobody: a replica that took that for "follow nobody" would lose its source
    and restart (a trap of Patroni's early Kubernetes support)."""
    decision = decide(paused(a_view(lock=lock(None), memory=Memory(followed=DEMO_0, unlocked_since=NOW - 60))))
    assert decision.actions == ()


def test_nothing_is_promoted_or_initialised() -> None:
    free = {"lock": lock(None), "poll": poll(answer("demo-0"), answer("demo-2"))}
    assert decide(paused(a_view(**free, memory=Memory(unlocked_since=NOW - 60)))).actions == ()
    assert decide(paused(leading(postgres=replica(), sync=SyncView("demo-1", (), 0, "9")))).actions == (Release(),)
    empty = {"postgres": PostgresView(data="empty"), "config": ConfigView(True, "5", None, None)}
    assert decide(paused(a_view(**free | empty))).reason == Reason.PAUSED


def test_a_fast_failover_does_not_happen() -> None:
    heard = Memory(followed=DEMO_0, followed_epoch=3, leader_heard_at=NOW - 60)
    assert not any(isinstance(action, Acquire) for action in decide(paused(a_view(memory=heard))).actions)


def test_a_pause_does_not_keep_a_primary_without_a_lease() -> None:
    """Several primaries after a restore in a pause are what people of the peers suffered from (rule 1)."""
    assert decide(paused(leading(lease_until=NOW - 1))).actions == (Fence(),)
    assert decide(paused(a_view(postgres=primary()))).actions == (Fence(),)


def test_what_a_person_stopped_stays_down() -> None:
    assert decide(down()).reason == Reason.PAUSED
    assert decide(down()).actions == ()
    assert decide(down_leader()).actions == (Release(),)
    barred = decide(down(settings=PAUSED))
    assert barred.actions == ()


def test_what_the_agent_stopped_itself_comes_back() -> None:
    """The former leader after a switchover, the member whose data was copied on request, the primary that was fenced
    while the API server was away: none of them waits for the end of the pause."""
    memory = Memory(own_stop=True, rewound_epoch=3, rewound_from="demo-0")
    assert decide(down(memory=memory)).actions == (StartReplica(DEMO_0),)
    decision = decide(down_leader(memory=replace(SURE, own_stop=True)))
    assert decision.actions == (StartPrimary(every(("demo-0",))),)
    fenced = down_leader(memory=replace(SURE, own_stop=True), lease_until=None)
    assert decide(fenced).actions[:1] == (Reclaim("77"),)


def test_a_restart_that_a_person_asks_for_starts_what_is_down() -> None:
    memory = Memory(restart=True, rewound_epoch=3, rewound_from="demo-0")
    assert decide(down(memory=memory)).actions == (StartReplica(DEMO_0),)
    assert any(isinstance(a, Restart) for a in decide(paused(leading(memory=replace(SURE, restart=True)))).actions)


def test_a_copy_that_a_person_asks_for_is_made() -> None:
    for view in (a_view(), down(), a_view(postgres=PostgresView(data="empty"))):
        asked = paused(view, memory=replace(view.memory, reinitialize=True))
        assert decide(asked).actions == (Clone(DEMO_0),)


def test_no_data_is_replaced_by_itself() -> None:
    told = Memory(own_stop=True, remote=remote(t1=10))
    assert decide(paused(a_view(postgres=stopped("shut down"), memory=told, config=RECORDED))).reason == Reason.PAUSED
    broken = replace(stopped("shut down in recovery"), failures=9)
    decision = decide(paused(a_view(postgres=broken, memory=told)))
    assert not any(isinstance(action, Clone) for action in decision.actions)


def test_a_switchover_to_a_named_candidate_happens() -> None:
    good = poll(answer("demo-0"), answer("demo-2"))
    asked = paused(leading(request=Request("demo-1", "demo-0", None, "4"), poll=good))
    assert isinstance(decide(asked).actions[0], HandOver)
    candidate = Request("demo-0", "demo-1", None, "4")
    free = paused(a_view(lock=lock(None), request=candidate, memory=Memory(unlocked_since=NOW - 0.2)))
    assert isinstance(decide(free).actions[0], Acquire)


def test_a_schedule_survives_a_pause_but_is_not_carried_out_in_one() -> None:
    good = poll(answer("demo-0"), answer("demo-2"))
    for seconds in (3600, -1):
        asked = Request("demo-1", "demo-0", leading().wall + seconds, "4")
        assert decide(paused(leading(request=asked, poll=good))).actions == (ApplySettings(),)
    late = Request("demo-1", "demo-0", leading().wall - 3600, "4")
    (action,) = decide(leading(request=late, poll=good)).actions
    assert isinstance(action, ClearRequest)
    assert "past" in action.why


def test_foreign_data_is_stopped_all_the_same() -> None:
    """Patroni lets it run in a pause. Rule 6 knows no pause."""
    foreign = replica(sysid=SYSID[::-1])
    assert decide(paused(a_view(postgres=foreign))).actions == (StopPostgres(),)


@pytest.mark.parametrize("standby", [False, True])
def test_a_terminating_leader_keeps_the_lock_for_its_return(standby: bool) -> None:
    """Nobody may take it in a pause: a handover would leave the cluster without a primary until a person comes."""
    view = paused(leading(memory=replace(SURE, terminating=True)))
    if standby:
        view = replace(view, postgres=replica())
    decision = decide(view)
    assert decision.actions == (StopPostgres(),)
    assert decision.lead
