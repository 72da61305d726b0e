"""Rule 3: the fast failover of a synchronous cluster, from the candidate's and from the primary's side."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import ME, NOW, a_view, answer, leading, lock, members, poll, replica, silent

from matriarch.ha.actions import Acquire, Claim, PollPeers, Promise, Renew, WriteSync
from matriarch.ha.decide import decide
from matriarch.ha.failsafe import judge_failsafe
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Failsafe, Memory, SyncView, Tags, Upstream, View
from matriarch_agent.ports import FailsafeClaim

CAPABLE = tuple(replace(member, capabilities=("takeover",)) for member in members())
FOLLOWED: dict[str, Any] = {"followed": Upstream("demo-0", "10.0.0.0"), "followed_epoch": 3}
NOBODY = poll(silent("demo-0"), answer("demo-2", heard_age=2.1))


def quiet(silence: float = 2.1, **changes: Any) -> View:
    memory = Memory(**FOLLOWED, leader_heard_at=NOW - silence)
    return a_view(**({"members": CAPABLE, "memory": memory, "poll": NOBODY} | changes))


def test_a_silent_leader_is_succeeded_in_the_order_that_is_safe() -> None:
    assert decide(quiet()).actions == (Promise("77"), Claim("9"), Acquire("77"))


def test_the_other_members_are_asked_first_and_the_silent_one_is_not() -> None:
    assert decide(quiet(poll=None)).actions == (PollPeers(skip=("demo-0",)),)


def test_a_leader_whose_machine_says_that_it_is_gone_is_succeeded_sooner() -> None:
    gone = Memory(**FOLLOWED, leader_heard_at=NOW - 0.5, leader_refused_since=NOW - 0.5)
    closed = replica(streaming=False)
    assert decide(quiet(memory=gone, postgres=closed)).actions == (Promise("77"), Claim("9"), Acquire("77"))
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
    assert decide(deleted(0.3, members=everybody)).actions == (Promise("77"), Claim("9"), Acquire("77"))
    waiting = decide(deleted(0.1, members=everybody))
    assert waiting.actions == () and waiting.wake_in <= 0.1, "its address is not asked: that may take seconds"
    streams = deleted(0.3, members=everybody, postgres=replica())
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
    ],
)
def test_everything_that_speaks_against_it(changes: dict[str, Any]) -> None:
    assert not any(isinstance(action, Acquire | Claim | Promise) for action in decide(quiet(**changes)).actions)


def test_a_claim_that_was_made_is_followed_up_on_the_promised_version_only() -> None:
    memory = Memory(leader_heard_at=NOW - 0.1, promised="77")
    claimed = quiet(memory=memory, sync=SyncView("demo-0", ("demo-1",), 0, "10", claim="demo-1"))
    assert decide(claimed).actions == (Acquire("77"),)
    moved = replace(claimed, lock=lock("demo-0", version="78"))
    assert not any(isinstance(action, Acquire) for action in decide(moved).actions)


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
