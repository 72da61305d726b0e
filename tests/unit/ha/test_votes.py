"""Rule 3 where a quorum decides: how many have to be heard, when, and whose word counts."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import ME, NOW, a_view, answer, leading, lock, member, members, physical, silent, standby

from matriarch.ha.actions import Acquire, ClearRequest, Decision, HandOver, PollPeers, Promote, WriteSync
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.rules import votes
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.tags import Tags
from matriarch.ha.view import Memory, PeerAnswer, Poll, Request, SyncView, View
from matriarch.words.sync_names import any_of

QUORUM = ClusterSettings(synchronous_mode="quorum")
FIVE = (*members(), member("demo-3"), member("demo-4"))
OBJECT = SyncView("demo-0", ("demo-1", "demo-2", "demo-3", "demo-4"), 2, "9")


def heard(name: str, **more: Any) -> PeerAnswer:
    return answer(name, **({"certain": True} | more))


def asked(*answers: PeerAnswer, began: float | None = NOW - 0.15) -> Poll:
    given = {one.name for one in answers}
    rest = [silent(one.name) for one in FIVE if one.name not in given and one.name != ME.name]
    return Poll((*answers, *rest), NOW - 0.1, began)


def racing(poll: Poll | None, **changes: Any) -> View:
    """demo-1 of five, whose lock has expired; two others have to be heard."""
    base: dict[str, Any] = {
        "settings": QUORUM,
        "members": FIVE,
        "sync": OBJECT,
        "lock": lock("demo-0", expired=True),
        "memory": Memory(unlocked_since=NOW - 0.2),
        "poll": poll,
    }
    return a_view(**(base | changes))


def took(decision: Decision) -> bool:
    return decision.actions[:1] == (Acquire("77"),)


def test_a_quorum_that_is_not_ahead_lets_it_win() -> None:
    decision = decide(racing(asked(heard("demo-2"), heard("demo-3", lsn=900))))
    assert decision.actions == (Acquire("77"), WriteSync("demo-1", (), "9"), Promote())


def test_one_voter_less_may_hide_a_commit() -> None:
    decision = decide(racing(asked(heard("demo-2"))))
    assert (decision.actions, decision.reason) == ((), Reason.NOT_ENOUGH_VOTES)


@pytest.mark.parametrize(
    "other",
    [
        heard("demo-3", certain=False),
        heard("demo-3", running=False),
        heard("demo-3", lsn=None),
        heard("demo-3", timeline=None),
        heard("demo-3", in_recovery=None),
        silent("demo-3"),
    ],
)
def test_a_word_that_may_not_be_the_whole_truth_is_no_vote(other: PeerAnswer) -> None:
    assert decide(racing(asked(heard("demo-2"), other))).reason == Reason.NOT_ENOUGH_VOTES


@pytest.mark.parametrize("began", [None, NOW - 1.4])
def test_answers_from_before_the_end_of_the_lease_are_asked_for_again(began: float | None) -> None:
    decision = decide(racing(asked(heard("demo-2"), heard("demo-3"), began=began)))
    assert decision.actions == (PollPeers(skip=("demo-0", "demo-4")),)


def test_too_few_answers_are_soon_asked_for_again_of_everybody() -> None:
    old = replace(asked(heard("demo-2")), at=NOW - 0.6)
    assert decide(racing(old)).actions == (PollPeers(),)


def test_a_voter_that_is_ahead_wins_even_when_it_may_not_lead() -> None:
    for more in ({}, {"nofailover": True}):
        decision = decide(racing(asked(heard("demo-2"), heard("demo-3"), heard("demo-4", lsn=1001, **more))))
        assert decision.reason == Reason.NOT_ENOUGH_VOTES and "demo-4" in decision.facts


def test_who_is_no_voter_has_no_vote_and_no_veto() -> None:
    narrow = SyncView("demo-0", ("demo-1", "demo-2", "demo-3"), 2, "9")
    both = asked(heard("demo-2"), heard("demo-4"))
    assert decide(racing(both, sync=narrow)).reason == Reason.NOT_ENOUGH_VOTES
    ahead = asked(heard("demo-2"), heard("demo-3"), heard("demo-4", lsn=5000))
    assert took(decide(racing(ahead, sync=narrow)))


def test_the_former_leader_has_a_vote_too() -> None:
    back = asked(heard("demo-0"), heard("demo-2"))
    assert took(decide(racing(back)))


def test_the_leader_of_the_object_has_all_its_own_commits_and_needs_nobody() -> None:
    mine = SyncView("demo-1", ("demo-2", "demo-3"), 1, "9")
    assert took(decide(racing(asked(), sync=mine)))


@pytest.mark.parametrize("holder", [None, "demo-0"])
def test_nobody_is_spared_the_count(holder: str | None) -> None:
    """Neither the candidate of a request, nor after a release on purpose."""
    request = Request("demo-0", "demo-1", None, "3")
    free = lock(holder, expired=holder is not None)
    alone = racing(asked(heard("demo-2")), request=request, lock=free)
    assert decide(alone).reason == Reason.NOT_ENOUGH_VOTES
    assert took(decide(replace(alone, poll=asked(heard("demo-2"), heard("demo-3", priority=5)))))


def test_outside_quorum_mode_nothing_is_counted() -> None:
    assert votes.votes_needed(racing(None, sync=SyncView("demo-0", ("demo-1",), 0, "9"))) == 0
    assert votes.votes_needed(racing(None, settings=ClusterSettings(synchronous_mode="off"))) == 0
    assert votes.votes_needed(racing(None, settings=ClusterSettings())) == 2, "the object says how it is, not the wish"


def switching(poll: Poll) -> View:
    rows = tuple(standby(f"demo-{number}", "quorum") for number in (0, 2, 3, 4))
    names = any_of(1, ("demo-0", "demo-2", "demo-3", "demo-4"))
    slots = physical("demo_0", "demo_2", "demo_3", "demo_4", active=True)
    return leading(
        settings=QUORUM,
        members=tuple(replace(one, role="primary" if one.name == "demo-1" else "replica") for one in FIVE),
        sync=SyncView("demo-1", names.names, 3, "9"),
        postgres=replace(leading().postgres, sync_names=names, standbys=rows, slots=slots, applied=QUORUM),
        request=Request("demo-1", "demo-2", None, "3"),
        poll=poll,
    )


def test_a_switchover_needs_voters_enough_for_the_candidate_to_win() -> None:
    all_there = Poll(tuple(heard(f"demo-{number}") for number in (0, 2, 3, 4)), NOW - 0.1)
    assert [type(action) for action in decide(switching(all_there)).actions] == [HandOver]
    few = Poll((heard("demo-0"), heard("demo-2"), heard("demo-3"), silent("demo-4")), NOW - 0.1)
    refused = decide(switching(few))
    assert isinstance(refused.actions[0], ClearRequest) and "voters" in refused.facts


def test_a_candidate_that_may_never_be_listed_is_refused() -> None:
    """It would be waited for without an end."""
    there = Poll(tuple(heard(f"demo-{number}") for number in (0, 2, 3, 4)), NOW - 0.1)
    view = switching(there)
    tagged = tuple(replace(one, tags=Tags(nosync=one.name == "demo-2")) for one in view.members)
    object_ = replace(view.sync, standbys=("demo-0", "demo-3", "demo-4"), quorum=2)
    refused = decide(replace(view, members=tagged, sync=object_))
    assert isinstance(refused.actions[0], ClearRequest) and "nosync" in refused.facts
    assert not any(isinstance(a, ClearRequest) for a in decide(replace(view, sync=object_)).actions)


def test_who_may_not_lead_never_races() -> None:
    tagged = racing(asked(heard("demo-2"), heard("demo-3")), me=replace(ME, tags=Tags(nofailover=True)))
    assert decide(tagged).reason == Reason.NOT_ELIGIBLE


def test_a_leader_that_released_the_lock_is_not_waited_for() -> None:
    """Its pod is gone as a rule, and would cost the time-out of a question."""
    released = lock(None, optime=900)
    assert decide(racing(None, lock=released)).actions == (PollPeers(skip=("demo-0",)),)


def test_everybody_is_asked_about_a_lock_object_that_was_made_anew() -> None:
    """Rule 1: whoever led may lead on, and only its own word tells."""
    assert decide(racing(None, lock=lock(None, optime=None))).actions == (PollPeers(),)
