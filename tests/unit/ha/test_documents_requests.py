"""Requests that come in over REST: merging settings, switchover, failover, restart, reinitialize."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.ha.document_cases import facts_of, member, primary_postgres, view_of

from matriarch.ha.documents import (
    FailoverRequest,
    Outcome,
    Refusal,
    ReinitializeRequest,
    RestartRequest,
    candidates_for,
    check_answers,
    check_settings,
    merge_config,
    outcome,
    read_failover_request,
    read_reinitialize_request,
    read_restart_request,
    timed_out,
)
from matriarch.ha.documents.failover import Action
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, LockView, PeerAnswer, Request, SyncView

LEADER = facts_of(view_of())
PAUSED = facts_of(view_of(settings=ClusterSettings(pause=True)))
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
TREES = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), SCALARS), lambda t: st.dictionaries(st.sampled_from("abcd"), SCALARS | t)
)


@pytest.mark.parametrize(
    ("current", "patch", "merged"),
    [
        ({"ttl": 9, "pause": True}, {"pause": None}, {"ttl": 9}),
        ({"ttl": 9}, {"pause": None}, {"ttl": 9}),
        ({"ttl": 9}, {"ttl": "9"}, {"ttl": 9}),
        ({"ttl": 9}, {"ttl": 20}, {"ttl": 20}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}, {"a": {"c": 2, "d": 3}}),
        ({"a": 1}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": "[1]"}, {"a": [1]}, {"a": "[1]"}),
    ],
)
def test_merge(current: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]) -> None:
    before = repr((current, patch))
    assert merge_config(current, patch) == merged
    assert repr((current, patch)) == before


@given(TREES, TREES)
def test_a_merge_is_repeatable_and_leaves_no_null_of_the_patch(current: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_config(current, patch)
    assert merge_config(once, patch) == once
    assert not any(once.get(key, 0) is None for key in patch)
    assert [key for key in once if key in current] == [key for key in current if key in once]


def test_settings_that_no_reader_could_use_are_refused() -> None:
    assert (
        check_settings({"ttl": 9, "postgresql": {"parameters": {"work_mem": "4MB"}, "pg_hba": ["local all all peer"]}})
        is None
    )
    for broken in ({"postgresql": []}, {"postgresql": {"parameters": []}}, {"postgresql": {"pg_hba": "all"}}):
        refusal = check_settings(broken)
        assert refusal is not None and refusal.status == 400
    assert check_settings({"a": "x" * 70_000}) is not None


def _read(action: Action, body: dict[str, Any], facts: Any = LEADER) -> tuple[int, str] | FailoverRequest:
    answer = read_failover_request(action, body, facts)
    return (answer.status, answer.text) if isinstance(answer, Refusal) else answer


LATER = "2030-01-01T00:00:00+01:00"
UNPARSABLE = "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"


@pytest.mark.parametrize(
    ("action", "body", "facts", "answer"),
    [
        ("failover", {"leader": "demo-0"}, LEADER, (400, "Failover could be performed only to a specific candidate")),
        ("switchover", {"candidate": "x"}, LEADER, (400, "Switchover could be performed only from a specific leader")),
        ("failover", {"candidate": "x", "scheduled_at": LATER}, LEADER, (400, "Failover can't be scheduled")),
        (
            "switchover",
            {"leader": "demo-0", "scheduled_at": LATER},
            PAUSED,
            (400, "Can't schedule switchover in the paused state"),
        ),
        (
            "switchover",
            {"leader": "demo-0", "scheduled_at": "2030-01-01T00:00:00"},
            LEADER,
            (400, "Timezone information is mandatory for the scheduled switchover"),
        ),
        (
            "switchover",
            {"leader": "demo-0", "scheduled_at": "2020-01-01T00:00:00Z"},
            LEADER,
            (422, "Cannot schedule switchover in the past"),
        ),
        ("switchover", {"leader": "demo-0", "scheduled_at": "soon"}, LEADER, (422, UNPARSABLE)),
        ("switchover", {"leader": "demo-0", "scheduled_at": 17}, LEADER, (422, UNPARSABLE)),
        ("switchover", {"leader": "demo-0", "scheduled_at": "0001-01-01T00:00:00+23:59"}, LEADER, (422, UNPARSABLE)),
        (
            "switchover",
            {"leader": "demo-0"},
            PAUSED,
            (400, "Switchover is possible only to a specific candidate in a paused state"),
        ),
        (
            "switchover",
            {"leader": "demo-0", "candidate": "demo-0"},
            LEADER,
            (400, "Switchover target and source are the same"),
        ),
        ("switchover", {"leader": "demo-0"}, LEADER, FailoverRequest("switchover", "demo-0", None)),
        (
            "switchover",
            {"leader": "demo-0", "member": "demo-1"},
            LEADER,
            FailoverRequest("switchover", "demo-0", "demo-1"),
        ),
        (
            "failover",
            {"leader": "demo-0", "candidate": "demo-1"},
            LEADER,
            FailoverRequest("switchover", "demo-0", "demo-1"),
        ),
        ("failover", {"candidate": "demo-2"}, PAUSED, FailoverRequest("failover", None, "demo-2")),
        (
            "switchover",
            {"leader": "demo-0", "scheduled_at": LATER},
            LEADER,
            FailoverRequest("switchover", "demo-0", None, "2029-12-31T23:00:00+00:00"),
        ),
    ],
)
def test_the_words_of_a_request(action: Action, body: dict[str, Any], facts: Any, answer: object) -> None:
    assert _read(action, body, facts) == answer


def _names(request: FailoverRequest, facts: Any = LEADER) -> tuple[str, ...] | tuple[int, str]:
    answer = candidates_for(request, facts)
    return (answer.status, answer.text) if isinstance(answer, Refusal) else tuple(member.name for member in answer)


ANY = FailoverRequest("switchover", "demo-0", None)
ASYNCHRONOUS = facts_of(view_of(settings=ClusterSettings(synchronous_mode="off")))
ALONE = facts_of(view_of(members=(member("demo-0", "primary"),), settings=ClusterSettings(synchronous_mode="off")))


@pytest.mark.parametrize(
    ("request_", "facts", "answer"),
    [
        (ANY, LEADER, ("demo-1",)),
        (ANY, ASYNCHRONOUS, ("demo-1", "demo-2")),
        (replace(ANY, leader="demo-1"), LEADER, (412, "leader name does not match")),
        (ANY, replace(LEADER, view=None), (412, "leader name does not match")),
        (replace(ANY, candidate="demo-2"), LEADER, (412, "candidate name does not match with sync_standby")),
        (replace(ANY, candidate="demo-2"), ASYNCHRONOUS, ("demo-2",)),
        (replace(ANY, candidate="demo-7"), ASYNCHRONOUS, (412, "candidate does not exists")),
        (FailoverRequest("failover", None, "demo-2"), LEADER, ("demo-2",)),
        (
            ANY,
            facts_of(view_of(sync=SyncView(leader="demo-0"))),
            (412, "switchover is not possible: can not find sync_standby"),
        ),
        (ANY, facts_of(view_of(sync=SyncView())), (412, "switchover is not possible: can not find sync_standby")),
        (ANY, ALONE, (412, "switchover is not possible: cluster does not have members except leader")),
    ],
)
def test_who_may_take_over(request_: FailoverRequest, facts: Any, answer: object) -> None:
    assert _names(request_, facts) == answer


def test_somebody_must_answer_who_may_be_promoted() -> None:
    good = PeerAnswer("demo-1", True, in_recovery=True, running=True, lsn=1)
    bad = (PeerAnswer("demo-1", False), replace(good, nofailover=True), replace(good, running=False))
    assert check_answers(ANY, (*bad, good)) is None
    refusal = Refusal(412, "switchover is not possible: no good candidates have been found")
    assert check_answers(ANY, bad) == refusal
    assert check_answers(ANY, ()) == refusal


TO_ONE = FailoverRequest("switchover", "demo-0", "demo-1")
PENDING = Request("demo-0", "demo-1", None, "5")


@pytest.mark.parametrize(
    ("asked", "lock", "pending", "result"),
    [
        (TO_ONE, "demo-0", PENDING, None),
        (TO_ONE, None, PENDING, None),
        (TO_ONE, None, Request(None, None, None, "6"), None),
        (TO_ONE, "demo-0", Request(None, None, None, "6"), Outcome(503, "Switchover failed")),
        (TO_ONE, "demo-1", PENDING, Outcome(200, 'Successfully switched over to "demo-1"')),
        (TO_ONE, "demo-2", PENDING, Outcome(200, 'Switched over to "demo-2" instead of "demo-1"')),
        (ANY, "demo-2", PENDING, Outcome(200, 'Successfully switched over to "demo-2"')),
        (
            FailoverRequest("failover", None, "demo-1"),
            "demo-1",
            PENDING,
            Outcome(200, 'Successfully failed over to "demo-1"'),
        ),
        (
            FailoverRequest("failover", None, "demo-1"),
            "demo-2",
            PENDING,
            Outcome(200, 'Failed over to "demo-2" instead of "demo-1"'),
        ),
    ],
)
def test_how_it_ended(asked: FailoverRequest, lock: str | None, pending: Request, result: Outcome | None) -> None:
    assert outcome(asked, "demo-0", view_of(lock=LockView(holder=lock), request=pending)) == result
    assert outcome(asked, "demo-0", None) is None


def test_a_timeout_claims_nothing() -> None:
    assert timed_out(ANY) == Outcome(503, "Switchover status unknown")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"colour": "red"}, 400),
        ({"role": "emperor"}, 400),
        ({"role": ["primary"]}, 400),
        ({"postgres_version": "17"}, 400),
        ({"postgres_version": 17}, 400),
        ({"timeout": "soon"}, 400),
        ({"timeout": 0}, 400),
        ({"timeout": True}, 400),
        ({"schedule": 17}, 422),
        ({"role": "replica"}, 503),
        ({"restart_pending": False}, 503),
        ({"postgres_version": "17.6"}, 503),
        ({"postgres_version": "9.6.1"}, 503),
    ],
)
def test_restarts_that_do_not_happen(body: dict[str, Any], status: int) -> None:
    answer = read_restart_request(body, LEADER)
    assert isinstance(answer, Refusal) and answer.status == status


@pytest.mark.parametrize(
    ("body", "timeout"),
    [
        ({}, None),
        ({"timeout": 30}, 30.0),
        ({"timeout": "5min"}, 300.0),
        ({"role": "primary"}, None),
        ({"postgres_version": "17.7"}, None),
    ],
)
def test_restarts_that_do(body: dict[str, Any], timeout: float | None) -> None:
    assert read_restart_request(body, LEADER) == RestartRequest(timeout)


def test_a_restart_waits_for_nobody() -> None:
    busy = facts_of(view_of(activity=Activity("Checkpoint", 1.0)))
    assert read_restart_request({}, busy) == Refusal(503, "checkpoint already in progress")
    starting = facts_of(view_of(postgres=primary_postgres(process="starting")))
    assert read_restart_request({}, starting) == Refusal(503, "postgres is still starting")
    pending = facts_of(view_of(postgres=primary_postgres(pending_restart={"a": {}})))
    assert read_restart_request({"restart_pending": True}, pending) == RestartRequest()
    assert isinstance(read_restart_request({}, replace(LEADER, view=None)), Refusal)


def test_reinitialize() -> None:
    replica = facts_of(view_of("demo-1"))
    assert read_reinitialize_request({}, replica) == ReinitializeRequest()
    assert read_reinitialize_request({"force": True, "from_leader": "true"}, replica) == ReinitializeRequest(True, True)
    assert read_reinitialize_request({}, LEADER) == Refusal(503, "I am the leader, can not reinitialize")
    unlocked = facts_of(view_of("demo-1", lock=LockView()))
    assert read_reinitialize_request({}, unlocked) == Refusal(503, "Cluster has no leader, can not reinitialize")
    busy = facts_of(view_of("demo-1", activity=Activity("Clone", 1.0)))
    assert read_reinitialize_request({}, busy) == Refusal(503, "clone already in progress")
    assert read_reinitialize_request({"force": True}, busy) == ReinitializeRequest(force=True)
