"""A volume without room for more WAL (rules/recover.py, rules/succession.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from unit.ha.test_crash import ASYNC, END, MB, crashed, to
from unit.ha.views import NOW, a_view, answer, lock, poll, primary, replica, standby, stopped

from matriarch.ha.actions import Clone, StartPrimary
from matriarch.ha.decide import decide
from matriarch.ha.documents.members import peer_answer_from
from matriarch.ha.documents.status import status_document
from matriarch.ha.postgres_view import DISK_FULL_BYTES
from matriarch.ha.reasons import Reason
from matriarch.ha.view import Memory, Request, SyncView, View

FULL = "the disk is full"


def full(failures: int = 1, since_s: float = 1.0, **changes: Any) -> View:
    """demo-1 leads; its Postgres died of a full disk and did not start again."""
    view = crashed(MB, **changes)
    postgres = replace(view.postgres, disk_free=MB, failures=failures, last_error="No space left on device")
    return replace(view, postgres=postgres, memory=replace(view.memory, start_failed_at=NOW - since_s))


def test_a_listed_replica_with_room_takes_over() -> None:
    decision = decide(full())
    assert decision.actions == to("demo-0")
    assert decision.reason == Reason.DISK_FULL
    assert "No space left" in decision.facts


def test_a_start_is_tried_first() -> None:
    assert [type(action) for action in decide(full(failures=0)).actions] == [StartPrimary]


def test_nothing_goes_from_one_full_disk_to_another() -> None:
    answers = poll(answer("demo-0", lsn=END, unfit=FULL), answer("demo-2", lsn=END, unfit=FULL))
    for failures in (1, 2, 7):
        decision = decide(full(failures, poll=answers))
        assert (decision.actions, decision.reason, decision.lead) == ((), Reason.DISK_FULL, True)
    again = decide(full(since_s=10.5, poll=answers))
    assert [type(action) for action in again.actions] == [StartPrimary], "there may be room by now"


def test_asynchronous_whoever_is_far_behind_does_not_take_over() -> None:
    off = SyncView(None, (), 0, "9")
    assert decide(full(settings=ASYNC, sync=off)).actions == to("demo-2")
    behind = poll(answer("demo-0", lsn=END - 2 * MB), answer("demo-2", lsn=END - 2 * MB))
    assert decide(full(settings=ASYNC, sync=off, poll=behind)).reason == Reason.DISK_FULL


def test_a_replica_without_room_is_not_copied_anew() -> None:
    memory = Memory(start_failed_at=NOW - 1)
    postgres = stopped("in archive recovery", failures=5, disk_free=0)
    decision = decide(a_view(postgres=postgres, memory=memory))
    assert (decision.actions, decision.reason) == ((), Reason.DISK_FULL)
    later = decide(a_view(postgres=postgres, memory=replace(memory, start_failed_at=NOW - 11)))
    assert not any(isinstance(action, Clone) for action in later.actions)


def test_a_start_that_ends_again_counts_as_none() -> None:
    view = full(failures=0)
    died = replace(view, memory=replace(view.memory, full_deaths=2))
    assert decide(died).actions == to("demo-0")
    once = replace(view, memory=replace(view.memory, full_deaths=1))
    assert [type(action) for action in decide(once).actions] == [StartPrimary]


def test_nobody_is_asked_to_take_over_who_has_no_room() -> None:
    asked = a_view(
        lock=lock("demo-1"),
        lease_until=NOW + 5,
        postgres=primary(standbys=(standby("demo-0"),)),
        sync=SyncView("demo-1", ("demo-0",), 0, "9"),
        request=Request("demo-1", "demo-0", None, "4"),
        poll=poll(answer("demo-0", unfit=FULL), answer("demo-2")),
    )
    decision = decide(asked)
    assert decision.reason == Reason.REFUSING_REQUEST
    assert FULL in decision.facts


def test_what_is_not_known_is_not_full() -> None:
    assert not replica(disk_free=None).disk_full
    assert not replica(disk_free=DISK_FULL_BYTES).disk_full
    assert replica(disk_free=DISK_FULL_BYTES - 1).unfit == FULL


def test_members_tell_each_other_and_the_operator() -> None:
    said = status_document(a_view(postgres=replica(disk_free=5)))
    assert said["matriarch"]["problems"][0].startswith(FULL)
    told = {"state": "running", "role": "replica", "xlog": {"received_location": 5}, "matriarch": {"unfit": FULL}}
    assert peer_answer_from("demo-0", told).unfit == FULL
    assert peer_answer_from("demo-0", {**told, "matriarch": {"unfit": 5}}).unfit == ""
