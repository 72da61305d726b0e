"""What a view tells of moments and of versions, which several stages ask for."""

from __future__ import annotations

import pytest
from unit.fleet.builders import NOW, a_view

from matriarch.fleet.actions import Patch, swapped


@pytest.mark.parametrize(
    ("moment", "age"),
    [
        ("2026-01-02T03:04:00Z", 5.0),
        (NOW.isoformat(), 0.0),
        ("2026-01-02T03:04:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_age_of_what_is_no_moment_is_unknown(moment: object, age: float | None) -> None:
    assert a_view().age_s(moment) == age


def test_a_swap_asks_for_the_version_that_was_seen() -> None:
    live = {"metadata": {"name": "demo-app", "resourceVersion": "7", "labels": {"a": "b"}}, "data": {"c": "d"}}
    body = {"metadata": {"resourceVersion": "7", "annotations": {"e": None}}, "data": {"f": "g"}}
    assert swapped("Secret", live, {"annotations": {"e": None}}, data={"f": "g"}) == Patch("Secret", "demo-app", body)
