"""Tags of members in a manifest, and in the cluster settings that they become."""

from __future__ import annotations

import pytest

from matriarch.fleet.render.settings import merged, settings
from matriarch.spec.resource import read_spec
from matriarch.words.errors import Invalid

STORAGE = {"size": "1Gi"}


def test_tags_reach_the_settings_by_the_members_names() -> None:
    tags = [{"ordinal": 2, "noFailover": True, "replicateFrom": 1}, {"ordinal": 1, "syncPriority": 3}]
    found = settings(read_spec({"storage": STORAGE, "tags": tags}), "shop")["member_tags"]
    assert found == {"shop-2": {"nofailover": True, "replicatefrom": "shop-1"}, "shop-1": {"sync_priority": 3}}


def test_tags_of_a_persons_own_stand_beside_the_others_and_override_none() -> None:
    tags = [{"ordinal": 2, "noFailover": True, "custom": {"zone": "a", "nosync": "true"}}]
    found = settings(read_spec({"storage": STORAGE, "tags": tags}), "shop")["member_tags"]
    assert found == {"shop-2": {"nofailover": True, "zone": "a"}}


def test_tags_that_are_taken_away_leave_the_settings() -> None:
    before = {"member_tags": {"shop-2": {"nofailover": True}}, "a_persons": 1}
    after = merged(before, read_spec({"storage": STORAGE}), "shop")
    assert "member_tags" not in after
    assert after["a_persons"] == 1


@pytest.mark.parametrize(
    "tags",
    [
        [{"noFailover": True}],
        [{"ordinal": 9}],
        [{"ordinal": 1, "failoverPriority": -1}],
        [{"ordinal": 1, "custom": {"a b": "x"}}],
    ],
)
def test_a_wrong_tag_is_refused_with_its_path(tags: list[dict[str, object]]) -> None:
    with pytest.raises(Invalid, match=r"tags"):
        read_spec({"storage": STORAGE, "tags": tags})
