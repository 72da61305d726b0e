"""SIGTERM: whether a primary hurries depends on how long its pod may live."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import ME, NOW, a_view, leading, members, primary, replica

from matriarch.ha.actions import HandOver, StopPostgres
from matriarch.ha.decide import decide
from matriarch.ha.documents.members import member_from_pod
from matriarch.ha.view import ConfigView, LockView, MemberView, Memory, PostgresView, SyncView


def told(*pods: MemberView) -> tuple[Any, ...]:
    others = tuple(member for member in members("demo-1") if member.name != ME.name)
    return decide(leading(memory=Memory(terminating=True), members=(*others, *pods))).actions


MINE = replace(members("demo-1")[1], pod_uid=ME.pod_uid)


@pytest.mark.parametrize("grace_s", [None, 30.0, 600.0])
def test_the_handover_of_a_pod_that_is_deleted_counts_from_the_deletion(grace_s: float | None) -> None:
    assert told(replace(MINE, grace_s=grace_s)) == (HandOver(None, NOW),)


@pytest.mark.parametrize("pods", [(), (replace(MINE, pod_uid="uid-of-the-next"),), (replace(MINE, grace_s=1.0),)])
def test_a_pod_that_is_deleted_by_force_hurries(pods: tuple[MemberView, ...]) -> None:
    assert told(*pods) == (HandOver(None, NOW, hurried=True),)


def test_the_grace_is_that_of_a_deletion_under_way() -> None:
    metadata: dict[str, Any] = {"name": "demo-1", "uid": "uid-1", "deletionGracePeriodSeconds": 0}
    assert member_from_pod({"metadata": metadata}).grace_s is None
    metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    member = member_from_pod({"metadata": metadata})
    assert (member.grace_s, member.pod_uid) == (0.0, "uid-1")


@pytest.mark.parametrize("postgres", [replica(), replica(process="starting"), primary()])
def test_who_never_reached_the_api_server_stops_and_hands_nothing_over(postgres: PostgresView) -> None:
    """It knows of no lock and of no member. A primary runs on until it has stopped only inside an adopted lease."""
    nothing: dict[str, Any] = {"lock": LockView(), "config": ConfigView(settings_seen=False), "sync": SyncView()}
    lease = NOW + 8 if postgres.in_recovery is False else None
    memory = Memory(terminating=True)
    unseen = a_view(**nothing, members=(), api_ok=False, listed=False, memory=memory, postgres=postgres)
    assert decide(replace(unseen, lease_until=lease)).actions == (StopPostgres(),)
