"""Tags as people write them, and as documents tell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from matriarch.ha.settings import parse_settings
from matriarch.ha.tags import MOST_MEMBERS, Tags, member_tags_from, tags_document, tags_from


def test_tags_survive_a_round_trip() -> None:
    tags = Tags(True, True, True, True, 3, 0, "demo-2")
    assert tags_from(tags_document(tags)) == tags
    assert tags_document(Tags()) == {}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"nofailover": "yes", "failover_priority": "7"}, Tags(nofailover=True, failover_priority=7)),
        ({"failover_priority": 0}, Tags(nofailover=True, failover_priority=0)),
        ({"nosync": False, "sync_priority": 0}, Tags(nosync=False, sync_priority=0)),
        ({"replicatefrom": 7}, Tags()),
        ({"replicatefrom": "x" * 300}, Tags()),
        (["nofailover"], Tags()),
        (None, Tags()),
    ],
)
def test_whatever_is_written_is_read_without_complaint(written: Any, read: Tags) -> None:
    assert tags_from(written) == read


def test_the_cluster_settings_tell_each_members_tags() -> None:
    settings = parse_settings(json.dumps({"member_tags": {"demo-2": {"nofailover": True}, "demo-1": "nonsense"}}))
    assert settings.member_tags == {"demo-2": Tags(nofailover=True), "demo-1": Tags()}


def test_a_flood_of_members_is_not_read_to_its_end() -> None:
    assert len(member_tags_from({f"demo-{n}": {} for n in range(1000)})) == MOST_MEMBERS
    assert member_tags_from([1, 2]) == {}
