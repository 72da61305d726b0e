"""Rule 3, quorum mode: a lock that was taken early on counted promises is left to run out, never given back at once.

Its release would let another voter win on plain answers while the former primary, alive on its lease, goes on being
acknowledged by voters whose promises ended with the take.
"""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, answer, lock, poll, replica, stopped

from matriarch.ha.actions import Decision, Promote, Reclaim, Release
from matriarch.ha.decide import decide
from matriarch.ha.failsafe import judge_failsafe
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Failsafe, Listed, Memory, SyncView, View
from matriarch_agent.ports import FailsafeClaim

VOTERS = ("demo-1", "demo-2")
COUNTED = Listed("demo-0", VOTERS, 1)
OTHERS = SyncView("demo-0", VOTERS, 1, "9")
"""The former primary overrode the claim after this member had taken the lock."""


def taken(lease: float | None = 5.0, **changes: Any) -> View:
    """This member took the lock of a primary that may live; the sync object is not what it counted on any more."""
    base: dict[str, Any] = {
        "lock": lock("demo-1"),
        "lease_until": None if lease is None else NOW + lease,
        "settings": ClusterSettings(synchronous_mode="quorum"),
        "sync": OTHERS,
        "postgres": replica(streaming=False),
        "memory": Memory(counted=COUNTED),
        "poll": poll(answer("demo-0"), answer("demo-2")),
    }
    return a_view(**(base | changes))


def waits(decision: Decision) -> bool:
    return decision.actions == () and not decision.lead


def test_it_is_neither_released_nor_renewed_while_its_lease_lasts() -> None:
    assert waits(decide(taken()))


def test_it_is_released_once_the_former_primary_cannot_have_a_lease_any_more() -> None:
    decision = decide(taken(lease=None))
    assert decision.actions == (Release(),)
    assert decision.reason is Reason.NOT_ELIGIBLE


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": ClusterSettings(synchronous_mode="quorum", pause=True), "memory": Memory()},
        {"sync": SyncView("demo-0", ("demo-2", "demo-3"), 1, "9")},
        {"postgres": replace(stopped(), failures=2, last_error="no")},
    ],
    ids=["paused", "not listed", "does not start"],
)
def test_whatever_the_reason_is_for_giving_it_back(changes: dict[str, Any]) -> None:
    assert waits(decide(taken(**changes)))
    assert Release() in decide(taken(lease=None, **changes)).actions


def test_a_claim_of_the_former_primary_that_it_accepted_has_to_end_first() -> None:
    heard = Failsafe(None, "demo-0", "http://10.0.0.0:8008/patroni", None, NOW - 1)
    assert waits(decide(taken(lease=None, failsafe=heard)))


def test_no_claim_of_the_former_primary_is_accepted_while_the_lease_lasts() -> None:
    claim = FailsafeClaim("demo-0", "http://10.0.0.0:8008/patroni", "postgres://10.0.0.0/postgres")
    assert not judge_failsafe(taken(), claim, NOW).accepted


def test_in_priority_mode_it_is_released_at_once() -> None:
    """There a listed member has everything, whoever acknowledges meanwhile."""
    every = Listed("demo-0", VOTERS, 0)
    view = taken(sync=SyncView("demo-0", VOTERS, 0, "9"), memory=Memory(counted=every), settings=ClusterSettings())
    assert decide(view).actions == (Release(),)


def test_a_lock_taken_on_counted_votes_goes_on_to_the_promotion() -> None:
    claimed = replace(OTHERS, claim="demo-1")
    assert any(isinstance(action, Promote) for action in decide(taken(sync=claimed)).actions)


def test_an_untouched_object_lets_the_lock_be_taken_up_again() -> None:
    claimed = replace(OTHERS, claim="demo-1")
    assert any(isinstance(action, Reclaim) for action in decide(taken(lease=None, sync=claimed)).actions)
