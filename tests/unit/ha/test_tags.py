"""Tags as people write them, and as documents tell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from matriarch.ha.settings import parse_settings
from matriarch.ha.tags import MOST_CUSTOM, MOST_MEMBERS, Tags, member_tags_from, tags_document, tags_from


def test_tags_survive_a_round_trip() -> None:
    tags = Tags(True, True, True, True, 3, 0, "demo-2", (("rack", 7), ("ssd", True), ("zone", "a")))
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


def test_tags_of_a_persons_own_are_kept_and_hostile_ones_are_not() -> None:
    written = {
        "zone": "a",
        "rack": 7,
        "nostream": True,
        "": "x",
        "a b": "x",
        "list": [1],
        "long": "x" * 300,
        "line": "a\nb",
        "nan": float("nan"),
        7: "x",
    }
    assert tags_from(written).custom == (("rack", 7), ("zone", "a"))
    assert len(tags_from({f"t{n}": "x" for n in range(1000)}).custom) == MOST_CUSTOM


def test_the_cluster_settings_tell_each_members_tags() -> None:
    settings = parse_settings(json.dumps({"member_tags": {"demo-2": {"nofailover": True}, "demo-1": "nonsense"}}))
    assert settings.member_tags == {"demo-2": Tags(nofailover=True), "demo-1": Tags()}


def test_a_flood_of_members_is_not_read_to_its_end() -> None:
    assert len(member_tags_from({f"demo-{n}": {} for n in range(1000)})) == MOST_MEMBERS
    assert member_tags_from([1, 2]) == {}
