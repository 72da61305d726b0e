"""What the probe saw, and what follows from it. Pure: no clock, no IO.

All times are seconds of one machine's monotonic clock, since the probe compares only its own observations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One committed insert through a Service: when it was sent and acknowledged, and which row it is."""

    sent: float
    acked: float
    writer: int
    number: int


@dataclass(frozen=True, slots=True)
class DirectWrite:
    """One committed insert straight to a member's address; `timeline` is what that server was writing on."""

    sent: float
    acked: float
    member: str
    address: str
    timeline: int
    number: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without any acknowledged write."""

    start: float
    seconds: float


def gaps(acked: Sequence[float], start: float, end: float, floor: float = 0.15) -> list[Gap]:
    """Every gap longer than `floor` seconds between `start` and `end`, the edges included."""
    moments = [start, *sorted(acked), end]
    pairs = itertools.pairwise(moments)
    return [Gap(earlier, later - earlier) for earlier, later in pairs if later - earlier > floor]


def longest(found: Iterable[Gap]) -> float:
    """The longest gap in seconds, 0 when there is none."""
    return max((gap.seconds for gap in found), default=0.0)


def two_writers(writes: Sequence[DirectWrite]) -> list[str]:
    """Proofs, as sentences, that two servers of one cluster were writable at once. Empty: none was found.

    A commit happened between its sending and its acknowledgement. So it is a proof when
    - two members acknowledged writes on the same timeline (a promotion always starts a new one), or
    - a write was *sent* after another server had acknowledged one on a higher timeline, and was acknowledged itself, or
    - two processes of one member (two addresses) acknowledged alternately on one timeline.
    """
    return [*_shared_timelines(writes), *_left_behind(writes), *_alternating(writes)]


def _shared_timelines(writes: Sequence[DirectWrite]) -> list[str]:
    members: dict[int, set[str]] = {}
    for write in writes:
        members.setdefault(write.timeline, set()).add(write.member)
    return [
        f"timeline {timeline} was written by {' and '.join(sorted(names))}"
        for timeline, names in sorted(members.items())
        if len(names) > 1
    ]


def _left_behind(writes: Sequence[DirectWrite]) -> list[str]:
    first_ack: dict[int, DirectWrite] = {}
    for write in sorted(writes, key=lambda one: one.acked):
        first_ack.setdefault(write.timeline, write)
    proofs = []
    for timeline, successor in sorted(first_ack.items()):
        late = [one for one in writes if one.timeline < timeline and one.sent > successor.acked]
        if late:
            worst = max(late, key=lambda one: one.acked)
            proofs.append(
                f"{worst.member} acknowledged {len(late)} writes on timeline {worst.timeline} that were sent after "
                f"{successor.member} had acknowledged one on timeline {timeline} "
                f"(the last {worst.acked - successor.acked:.3f} s after it)"
            )
    return proofs


def _alternating(writes: Sequence[DirectWrite]) -> list[str]:
    tenures: dict[tuple[int, str], dict[str, list[DirectWrite]]] = {}
    for write in writes:
        tenures.setdefault((write.timeline, write.member), {}).setdefault(write.address, []).append(write)
    proofs = []
    for (timeline, member), by_address in sorted(tenures.items()):
        spans = sorted(
            (min(one.acked for one in found), max(one.sent for one in found), address)
            for address, found in by_address.items()
        )
        for (_, last_sent, old), (first_acked, _, new) in itertools.pairwise(spans):
            if last_sent > first_acked:
                proofs.append(f"{member} acknowledged at {old} after {new} had, both on timeline {timeline}")
    return proofs
