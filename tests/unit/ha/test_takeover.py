"""Rule 3: the fast failover of a synchronous cluster, from the candidate's and from the primary's side."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import ME, NOW, a_view, answer, leading, lock, member, members, poll, replica, silent, stopped

from matriarch.ha.actions import Acquire, Claim, PollPeers, Promise, Promote, Release, Renew, StartReplica, WriteSync
from matriarch.ha.decide import decide
from matriarch.ha.failsafe import judge_failsafe
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.takeover import REFUSED_AGAIN_S
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Failsafe, Listed, Memory, PeerAnswer, SyncView, Tags, Upstream, View
from matriarch_agent.ports import FailsafeClaim

CAPABLE = tuple(replace(member, capabilities=("takeover",)) for member in members())
FOLLOWED: dict[str, Any] = {"followed": Upstream("demo-0", "10.0.0.0"), "followed_epoch": 3}
NOBODY = poll(silent("demo-0"), answer("demo-2", heard_age=2.1))


COUNTED = Listed("demo-0", ("demo-1",), 0)
CLAIMED = SyncView("demo-0", ("demo-1",), 0, "9", claim="demo-1")


def quiet(silence: float = 2.1, **changes: Any) -> View:
    memory = Memory(**FOLLOWED, leader_heard_at=NOW - silence)
    return a_view(**({"members": CAPABLE, "memory": memory, "poll": NOBODY} | changes))


def test_a_silent_leader_is_succeeded_in_the_order_that_is_safe() -> None:
    assert decide(quiet()).actions == (Promise("77"), Claim("9"), Acquire("77", COUNTED))


def test_the_other_members_are_asked_first_and_the_silent_one_is_not() -> None:
    assert decide(quiet(poll=None)).actions == (PollPeers(skip=("demo-0",)),)


def test_a_leader_whose_machine_says_that_it_is_gone_is_succeeded_sooner() -> None:
    gone = Memory(**FOLLOWED, leader_heard_at=NOW - 0.5, leader_refused_since=NOW - 0.5)
    closed = replica(streaming=False)
    assert decide(quiet(memory=gone, postgres=closed)).actions == (Promise("77"), Claim("9"), Acquire("77", COUNTED))
    assert not any(isinstance(a, Promise) for a in decide(quiet(memory=gone)).actions), "its WAL still comes"
    soon = replace(gone, leader_refused_since=NOW - 0.1)
    assert not any(isinstance(a, Promise) for a in decide(quiet(memory=soon, postgres=closed)).actions)


def deleted(seconds: float, **changes: Any) -> View:
    """The leader's pod was deleted, and its WAL stream ended so many seconds ago; it spoke the protocol."""
    memory = Memory(**FOLLOWED, leader_heard_at=NOW - seconds, starved_since=NOW - seconds, capable_pod="uid-0")
    base = {"lock": lock(address_uid="uid-0"), "memory": memory, "postgres": replica(streaming=False)}
    return quiet(**({"members": CAPABLE[1:]} | base | changes))


NEW_POD = replace(CAPABLE[0], pod_uid="uid-0b", pod_ip="10.0.9.9", capabilities=(), state="unknown")


@pytest.mark.parametrize("there", [(), (NEW_POD,)])
def test_a_leader_whose_pod_is_deleted_is_succeeded_once_its_stream_has_ended(there: tuple[Any, ...]) -> None:
    everybody = (*there, *CAPABLE[1:])
    assert decide(deleted(0.3, members=everybody)).actions == (Promise("77"), Claim("9"), Acquire("77", COUNTED))
    waiting = decide(deleted(0.05, members=everybody))
    assert waiting.actions == () and waiting.wake_in <= 0.1, "its address is not asked: that may take seconds"
    streams = deleted(0.6, members=everybody, postgres=replica())
    assert not any(isinstance(a, Promise) for a in decide(streams).actions), "its processes live on"


@pytest.mark.parametrize("known", [None, "uid-of-an-earlier-leader"])
def test_of_a_deleted_leader_that_never_told_what_it_speaks_the_ttl_is_waited_out(known: str | None) -> None:
    memory = replace(deleted(2.5).memory, capable_pod=known)
    for everybody in (CAPABLE[1:], (NEW_POD, *CAPABLE[1:])):
        decision = decide(deleted(2.5, memory=memory, members=everybody))
        assert not any(isinstance(action, Acquire | Claim | Promise) for action in decision.actions)


def test_the_word_of_the_pod_that_holds_the_lock_counts_before_what_is_remembered() -> None:
    other_agent = replace(CAPABLE[0], pod_uid="uid-0", capabilities=())
    decision = decide(deleted(2.5, members=(other_agent, *CAPABLE[1:])))
    assert not any(isinstance(action, Promise) for action in decision.actions)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": Memory(**FOLLOWED, leader_heard_at=NOW - 1.9)},
        {"memory": Memory(**FOLLOWED)},
        {"members": members()},
        {"sync": SyncView("demo-0", ("demo-2",), 0, "9")},
        {"sync": SyncView("demo-2", ("demo-1",), 0, "9")},
        {"settings": ClusterSettings(synchronous_mode="off")},
        {"settings": ClusterSettings(pause=True)},
        {"me": replace(ME, tags=Tags(nofailover=True))},
        {"failsafe": Failsafe(leader="demo-0", heard_at=NOW - 0.5)},
        {"poll": poll(silent("demo-0"), answer("demo-2", heard_age=0.3))},
        {"poll": poll(answer("demo-0", in_recovery=False), answer("demo-2"))},
        {"api_ok": False},
        {"lock": lock("demo-0", failsafe={"demo-0": "", "demo-2": ""})},
    ],
)
def test_everything_that_speaks_against_it(changes: dict[str, Any]) -> None:
    assert not any(isinstance(action, Acquire | Claim | Promise) for action in decide(quiet(**changes)).actions)


def test_each_round_makes_its_own_claim() -> None:
    """The override of an older one may be under way, by a primary that has renewed before it."""
    memory = Memory(leader_heard_at=NOW - 2.4, promised="77")
    listed = SyncView("demo-0", ("demo-1",), 0, "10", claim="demo-1")
    assert decide(quiet(memory=memory, sync=listed)).actions == (Promise("77"), Claim("10"), Acquire("77", COUNTED))
    heard = replace(memory, leader_heard_at=NOW - 0.1)
    assert decide(quiet(memory=heard, sync=listed)).actions == ()


@pytest.mark.parametrize("version", ["77", "9"], ids=["take", "claim"])
def test_what_was_refused_is_not_asked_again_on_the_same_version_without_a_pause(version: str) -> None:
    """A watch that is late shows the old record for seconds, and each claim that gets through wakes this member."""
    gone = Memory(**FOLLOWED, leader_heard_at=NOW - 0.1, leader_refused_since=NOW - 1.0)
    memory = replace(gone, refused_version=version, refused_at=NOW - 0.1)
    refused = quiet(memory=memory, postgres=replica(streaming=False))
    waiting = decide(refused)
    assert (waiting.actions, waiting.reason) == ((), Reason.TAKING_OVER)
    assert waiting.wake_in == pytest.approx(REFUSED_AGAIN_S - 0.1)
    moved = replace(refused, lock=lock(version="78"), sync=replace(refused.sync, version="10"))
    assert decide(moved).actions == (Promise("78"), Claim("10"), Acquire("78", COUNTED)), "a newer one: at once"
    later = replace(refused, memory=replace(memory, refused_at=NOW - REFUSED_AGAIN_S))
    assert decide(later).actions == (Promise("77"), Claim("9"), Acquire("77", COUNTED)), "it may have been a mistake"


def test_a_lock_taken_early_is_given_back_when_the_sync_object_was_written_meanwhile() -> None:
    """Rule 3: what was counted on may not hold any more."""
    memory = Memory(counted=COUNTED, sync_written="9")
    took = a_view(lock=lock("demo-1"), lease_until=NOW + 8, memory=memory, sync=replace(CLAIMED, version="10"))
    assert decide(took).actions == (WriteSync("demo-1", (), "10"), Promote())
    for changed in (replace(CLAIMED, standbys=("demo-1", "demo-2")), replace(CLAIMED, claim=None)):
        assert decide(replace(took, sync=changed)).actions == (Release(),)
    raced = replace(took, memory=Memory(sync_written="9"), sync=replace(CLAIMED, claim=None))
    assert Promote() in decide(raced).actions


def test_a_promise_keeps_the_receiver_closed_until_the_lock_moves() -> None:
    promised = quiet(memory=Memory(leader_heard_at=NOW - 0.1, promised="77"))
    decision = decide(promised)
    assert decision.reason == Reason.TAKING_OVER
    assert decision.actions == ()
    moved = decide(replace(promised, lock=lock("demo-0", version="78")))
    assert moved.reason == Reason.ASKING_LEADER


def test_a_promise_refuses_the_primarys_failsafe_claim() -> None:
    claim = FailsafeClaim("demo-0", "http://10.0.0.0:8008/patroni", "")
    assert judge_failsafe(quiet(), claim, NOW).accepted
    assert not judge_failsafe(quiet(memory=Memory(promised="77")), claim, NOW).accepted
    assert judge_failsafe(quiet(memory=Memory(promised="70")), claim, NOW).accepted


def test_a_failsafe_claim_binds_for_as_long_as_it_asked() -> None:
    """One of the two may not have heard of a change of the ttl yet."""
    heard = {"leader": "demo-0", "heard_at": NOW - 12.0}
    seen = lock("demo-0", seen_at=NOW - 13.0)
    assert not quiet(lock=seen, failsafe=Failsafe(**heard)).claim_binds
    assert quiet(lock=seen, failsafe=Failsafe(**heard, ttl=30.0)).claim_binds
    long = ClusterSettings(ttl=30.0)
    assert quiet(lock=seen, settings=long, failsafe=Failsafe(**heard, ttl=9.0)).claim_binds


def test_a_primary_that_meets_a_claim_renews_before_it_overrides() -> None:
    claimed = leading(sync=SyncView("demo-1", ("demo-0",), 0, "9", claim="demo-0"))
    assert decide(claimed).actions == (Renew(), WriteSync("demo-1", ("demo-0",), "9"))


def test_a_deleted_leader_is_followed_at_its_own_address_as_long_as_it_sends() -> None:
    streams = deleted(0.0, members=(NEW_POD, *CAPABLE[1:]), postgres=replica(), memory=Memory(**FOLLOWED))
    decision = decide(streams)
    assert (decision.reason, decision.actions) == (Reason.FOLLOWING, ())
    same = replace(NEW_POD, pod_uid="uid-0")
    moved = decide(replace(streams, members=(same, *CAPABLE[1:])))
    assert moved.reason == Reason.ASKING_LEADER, "the same pod at another address is the leader at another address"


VOTERS = SyncView("demo-0", ("demo-1", "demo-2", "demo-3"), 1, "9")
VOLUNTEERS = tuple(
    member(f"demo-{number}", "primary" if number == 0 else "replica", capabilities=("takeover", "promise"))
    for number in range(4)
)
SEALED: dict[str, Any] = {"leader_heard_at": NOW - 2.4, "promised": "77", "promise_sealed_at": NOW - 0.2}
CLOSED = replica(streaming=False, lsn=1000)


def promised(name: str, **more: Any) -> PeerAnswer:
    return answer(name, **({"promised": "77", "certain": True} | more))


def voting(*answers: PeerAnswer, **changes: Any) -> View:
    """demo-1, one of three voters, of which two have to promise; it has done so."""
    given = {one.name for one in answers}
    rest = [silent(name) for name in ("demo-0", "demo-2", "demo-3") if name not in given]
    base: dict[str, Any] = {
        "settings": ClusterSettings(synchronous_mode="quorum"),
        "members": VOLUNTEERS,
        "sync": VOTERS,
        "memory": Memory(**SEALED),
        "postgres": CLOSED,
        "poll": poll(*answers, *rest),
    }
    return quiet(**(base | changes))


def test_in_quorum_mode_a_promise_comes_first_and_the_others_are_asked_after_it() -> None:
    first = voting(answer("demo-2"), memory=Memory(**FOLLOWED, leader_heard_at=NOW - 2.1), postgres=replica())
    assert decide(first).actions == (Promise("77"), PollPeers(skip=("demo-0",)))


def test_enough_promises_and_nobody_ahead_succeed_a_silent_leader() -> None:
    assert decide(voting(promised("demo-2", lsn=900))).actions == (Claim("9"), Acquire("77", VOTERS.listed))


@pytest.mark.parametrize(
    "other",
    [
        silent("demo-2"),
        answer("demo-2", certain=True),
        promised("demo-2", promised="76"),
        promised("demo-2", certain=False),
        promised("demo-2", running=False),
        promised("demo-2", lsn=None),
        promised("demo-2", lsn=1001),
        promised("demo-9"),
    ],
)
def test_what_is_not_a_promise_with_a_position_does_not_count(other: PeerAnswer) -> None:
    decision = decide(voting(other))
    assert (decision.actions, decision.reason) == ((), Reason.NOT_ENOUGH_VOTES)


def test_who_is_ahead_and_may_not_lead_is_not_counted_and_does_not_stop_the_others() -> None:
    """A commit that it has alone was never acknowledged: the others that promised would have it."""
    blocked = promised("demo-2", lsn=1001, nofailover=True)
    assert decide(voting(blocked)).reason == Reason.NOT_ENOUGH_VOTES
    assert decide(voting(blocked, promised("demo-3"))).actions == (Claim("9"), Acquire("77", VOTERS.listed))


def test_a_claim_of_an_earlier_round_is_made_anew_in_quorum_mode() -> None:
    claimed = replace(VOTERS, claim="demo-1", version="12")
    assert decide(voting(promised("demo-2"), sync=claimed)).actions == (Claim("12"), Acquire("77", VOTERS.listed))
    assert not any(isinstance(a, Acquire) for a in decide(voting(silent("demo-2"), sync=claimed)).actions)


def test_a_member_that_may_not_lead_promises_and_takes_nothing() -> None:
    tagged = replace(ME, tags=Tags(nofailover=True))
    first = voting(answer("demo-2"), me=tagged, memory=Memory(**FOLLOWED, leader_heard_at=NOW - 2.1))
    assert Promise("77") in decide(first).actions
    assert decide(voting(promised("demo-2"), me=tagged)).actions == ()


def test_a_voter_that_does_not_speak_it_makes_all_wait_for_the_ttl() -> None:
    mixed = (*VOLUNTEERS[:3], replace(VOLUNTEERS[3], capabilities=("takeover",)))
    assert not any(isinstance(a, Acquire) for a in decide(voting(promised("demo-2"), members=mixed)).actions)


def test_a_promise_is_told_only_with_a_position_from_after_the_receiver_closed() -> None:
    assert voting().promise_kept == "77"
    assert voting(postgres=replace(CLOSED, observed_at=NOW - 0.3)).promise_kept is None
    assert voting(postgres=replace(CLOSED, streaming=True)).promise_kept is None
    assert voting(memory=Memory(promised="77")).promise_kept is None
    assert voting(lock=lock("demo-0", version="78")).promise_kept is None


def test_a_new_agent_does_not_follow_the_leader_before_the_lock_has_moved() -> None:
    """Its former process may have promised, and a quorum may count on it."""
    fresh = voting(memory=Memory(first_lock_version="77", leader_heard_at=NOW))
    assert decide(fresh).actions == () and decide(fresh).reason == Reason.TAKING_OVER
    down = replace(fresh, postgres=stopped("in archive recovery"))
    assert decide(down).actions == (StartReplica(None),)
    assert decide(replace(fresh, lock=lock("demo-0", version="78"))).reason == Reason.ASKING_LEADER
    assert not replace(fresh, postgres=replica()).may_have_promised, "it streams, so it has not promised"
    assert not replace(fresh, sync=replace(VOTERS, quorum=0)).may_have_promised
