"""What the probe concludes from what it saw."""

from __future__ import annotations

import itertools

import pytest
from e2e.probe.record import DirectWrite, gaps, longest, two_writers
from hypothesis import given
from hypothesis import strategies as st


def write(at: float, member: str, timeline: int, *, address: str = "", took: float = 0.1) -> DirectWrite:
    return DirectWrite(at, at + took, member, address or f"address of {member}", timeline, int(at * 1000))


def test_gaps_include_both_edges() -> None:
    found = gaps([1.0, 1.1, 3.0], start=0.0, end=3.5)
    assert [(gap.start, round(gap.seconds, 3)) for gap in found] == [(0.0, 1.0), (1.1, 1.9), (3.0, 0.5)]
    assert longest(found) == pytest.approx(1.9)


def test_no_acknowledgement_is_one_long_gap() -> None:
    assert longest(gaps([], start=5.0, end=12.0)) == 7.0


@given(st.lists(st.floats(0.0, 100.0), max_size=50))
def test_the_longest_gap_is_the_longest_interval(moments: list[float]) -> None:
    edges = [0.0, *sorted(moments), 100.0]
    expected = max(later - earlier for earlier, later in itertools.pairwise(edges))
    assert longest(gaps(moments, 0.0, 100.0, floor=0.0)) == pytest.approx(expected)


def test_a_failover_is_one_writer_after_another() -> None:
    assert not two_writers([write(1, "a-0", 1), write(2, "a-0", 1), write(3, "a-1", 2), write(9, "a-0", 3)])


def test_commits_that_may_have_happened_in_the_right_order_prove_nothing() -> None:
    slow = write(1.0, "a-0", 1, took=5.0)
    assert not two_writers([slow, write(2.0, "a-1", 2)])


def test_a_write_sent_to_the_old_primary_after_the_new_one_answered() -> None:
    proofs = two_writers([write(1, "a-0", 1), write(2, "a-1", 2), write(2.5, "a-0", 1)])
    assert len(proofs) == 1
    assert proofs[0].startswith("a-0 acknowledged 1 writes on timeline 1")


def test_two_members_on_one_timeline() -> None:
    assert two_writers([write(1, "a-0", 4), write(2, "a-1", 4)]) == ["timeline 4 was written by a-0 and a-1"]


def test_a_member_that_came_back_at_a_new_address() -> None:
    before, after = write(1, "a-0", 1, address="old"), write(3, "a-0", 1, address="new")
    assert not two_writers([before, after])
    assert two_writers([before, after, write(4, "a-0", 1, address="old")])
