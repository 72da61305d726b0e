"""SIGTERM: whether a primary hurries depends on how long its pod may live."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import ME, NOW, leading, members

from matriarch.ha.actions import HandOver
from matriarch.ha.decide import decide
from matriarch.ha.documents.members import member_from_pod
from matriarch.ha.view import MemberView, Memory


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
