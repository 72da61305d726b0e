"""Whom a replica streams and copies from: the leader, unless a tag names somebody who is fit for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, member, replica

from matriarch.ha.actions import AskLeader, Clone, Follow
from matriarch.ha.decide import decide
from matriarch.ha.rules.upstream import copy_source, stream_source
from matriarch.ha.tags import Tags
from matriarch.ha.view import MemberView, Memory, RemoteHistory, SyncView, Upstream, View

LEADER = Upstream("demo-0", "10.0.0.0")
OTHER = Upstream("demo-2", "10.0.0.2")


def streaming(name: str, **more: Any) -> MemberView:
    return member(name, **({"streaming": True, "timeline": 1} | more))


def follower(tags: Tags, other: MemberView | None = None, **memory: Any) -> View:
    """demo-1 with `tags`, demo-0 leading, and `other` as demo-2."""
    sync = SyncView("demo-0", ("demo-2",), 0, "9")
    view = a_view(postgres=replica(), memory=Memory(**memory), sync=sync)
    members = (member("demo-0", "primary", timeline=1), streaming("demo-1", tags=tags))
    return replace(view, me=replace(view.me, tags=tags), members=(*members, other or streaming("demo-2")))


def test_without_a_tag_the_leader() -> None:
    assert stream_source(follower(Tags()), LEADER) == LEADER


def test_the_member_that_the_tag_names() -> None:
    assert stream_source(follower(Tags(replicatefrom="demo-2")), LEADER) == OTHER


@pytest.mark.parametrize(
    "other",
    [
        streaming("demo-2", streaming=False),
        streaming("demo-2", timeline=None),
        streaming("demo-2", timeline=2),
        streaming("demo-2", state="stopped"),
        streaming("demo-2", pod_ip=None),
        streaming("demo-2", tags=Tags(replicatefrom="demo-1")),
    ],
    ids=["not streaming", "no timeline", "another timeline", "stopped", "no address", "a circle"],
)
def test_the_leader_while_the_named_member_is_not_fit(other: MemberView) -> None:
    assert stream_source(follower(Tags(replicatefrom="demo-2"), other), LEADER) == LEADER


def test_the_leader_when_the_tag_names_nobody_or_oneself() -> None:
    assert stream_source(follower(Tags(replicatefrom="demo-9")), LEADER) == LEADER
    assert stream_source(follower(Tags(replicatefrom="demo-1")), LEADER) == LEADER


def test_the_leader_after_long_silence_of_the_named_member() -> None:
    tags = Tags(replicatefrom="demo-2")
    assert stream_source(follower(tags, starved_since=NOW - 1), LEADER) == OTHER
    assert stream_source(follower(tags, starved_since=NOW - 6), LEADER) == LEADER


def test_a_tag_is_followed_only_after_the_leaders_history_was_asked() -> None:
    """Rule 5: the data is judged by the leader's history, whoever it then streams from."""
    view = follower(Tags(replicatefrom="demo-2"))
    assert decide(view).actions[:1] == (AskLeader(LEADER),)
    known = RemoteHistory("demo-0", view.lock.epoch, view.postgres.sysid or "", 1, {}, False, NOW)
    view = replace(view, memory=replace(view.memory, remote=known))
    assert decide(view).actions == (Follow(OTHER),)


def test_data_is_copied_from_a_streaming_member_with_clonefrom() -> None:
    tagged = streaming("demo-2", tags=Tags(clonefrom=True))
    assert copy_source(follower(Tags(), tagged), LEADER) == OTHER
    assert copy_source(follower(Tags()), LEADER) == LEADER
    assert copy_source(follower(Tags(), replace(tagged, streaming=False)), LEADER) == LEADER


def test_who_is_listed_copies_from_the_leader_so_that_nothing_it_acknowledged_is_missing() -> None:
    """Rule 3: what it acknowledged is counted on as long as the sync object lists it."""
    view = follower(Tags(), streaming("demo-2", tags=Tags(clonefrom=True)))
    listed = replace(view, sync=SyncView("demo-0", ("demo-1", "demo-2"), 1, "9"))
    assert copy_source(listed, LEADER) == LEADER


def test_a_failed_copy_is_followed_by_one_from_the_leader() -> None:
    tagged = streaming("demo-2", tags=Tags(clonefrom=True))
    assert copy_source(follower(Tags(), tagged, clones_failed=1), LEADER) == LEADER
    assert copy_source(follower(Tags(), tagged, clones_failed=2), LEADER) == OTHER


def test_a_reinitialisation_spares_the_leader() -> None:
    view = follower(Tags(), streaming("demo-2", tags=Tags(clonefrom=True)), reinitialize=True)
    assert decide(view).actions == (Clone(OTHER),)
