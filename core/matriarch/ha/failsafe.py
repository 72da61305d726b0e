"""How a member judges a primary that cannot reach the API server and asks everybody for leave to go on.

Pure: the agent keeps what was accepted (the claim and the time) and does not race for `ttl` seconds after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from matriarch.ha.view import View

LONGEST_IN_TTLS = 4
"""A claim may ask for so many times the ttl that this member knows: it may not have heard of a greater one yet, and
whoever asks for a day would keep everybody from taking over for as long."""
LONGEST_UNKNOWN_S = 3600.0
"""Seconds that a claim may ask for of an agent that has seen no cluster yet, and so does not know its ttl."""


class Claim(Protocol):
    """Who claims to be primary."""

    @property
    def name(self) -> str:
        """The claiming member."""
        ...

    @property
    def api_url(self) -> str:
        """Its REST address."""
        ...

    @property
    def ttl(self) -> float:
        """For how long it asks, in seconds; 0: it does not tell."""
        ...

    @property
    def timeline(self) -> int | None:
        """The timeline on which it is primary; None: it does not tell."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """An HTTP status and text; `lsn`, in bytes, goes with an acceptance."""

    status: int
    text: str
    lsn: int | None = None

    @property
    def accepted(self) -> bool:
        """Whether the primary may count on this member."""
        return self.status == 200


def judge_failsafe(view: View, claim: Claim, now: float, *, acquiring: bool = False) -> Verdict:
    """Whether this member agrees that `claim` goes on as primary. Codes and texts are Patroni's.

    `now`: monotonic seconds. `acquiring`: this member has sent a write that takes the lock and has no answer yet.
    Agreeing then would make two primaries (rule 1).
    """
    if not view.settings.failsafe_mode:
        return Verdict(502, "Failsafe mode is off")
    if view.postgres.running and view.postgres.in_recovery is False:
        return Verdict(500, "Running as a leader")
    if acquiring or (view.lease_until is not None and now < view.lease_until):
        return Verdict(500, "Running as a leader")
    if view.promise_binds and claim.name == view.lock.holder:
        return Verdict(409, "Promised to hear no more of this primary")
    if claim.name == view.me.name:
        return Verdict(409, "The claim bears this member's own name")
    if not _known(view, claim):
        return Verdict(409, "The claim comes from nobody in this cluster")
    if claim.ttl > _longest(view):
        # Refused, not cut short: the claimant would count on the time that it asked for (rule 2).
        return Verdict(409, "The claim asks for far longer than the ttl of this cluster")
    if claim.timeline is not None and claim.timeline < _latest_timeline(view):
        # Somebody was promoted after the claimant, and may have acknowledged commits that it lacks.
        return Verdict(409, "A later timeline is known here")
    if view.postgres.data == "unknown" and _has_seen_nobody(view):
        return Verdict(409, "Nothing is known here, and the data cannot be read")
    if view.api_ok and view.lock.holder not in (None, claim.name):
        # The lock moved on and this member can see it: the claimant's right is over (rule 2), even if the next
        # holder has gone silent by now. Without the API server the record may be older than the claim.
        return Verdict(409, "Another member leads")
    return Verdict(200, "Accepted", view.postgres.lsn)


def _known(view: View, claim: Claim) -> bool:
    """Whether the claimant is the member it says. An agent that has seen no cluster yet cannot tell, and agrees.

    The address is compared because pod addresses are reused and another namespace may have a cluster of this name.
    """
    topology: Mapping[str, str] = view.lock.failsafe or {}
    if _has_seen_nobody(view):
        return True
    member = view.member(claim.name)
    addresses = {topology.get(claim.name), member.api_url if member is not None else None} - {None}
    if addresses:
        return claim.api_url in addresses
    return member is not None


def _latest_timeline(view: View) -> int:
    """By this member's data and by the history on record, whatever it has forgotten of who led."""
    postgres = view.postgres
    control = postgres.control.timeline if postgres.control is not None else 0
    return max(postgres.timeline or 0, postgres.led_timeline or 0, control, view.config.timeline)


def _longest(view: View) -> float:
    return LONGEST_UNKNOWN_S if _has_seen_nobody(view) else LONGEST_IN_TTLS * max(view.settings.ttl, view.lock.ttl)


def _has_seen_nobody(view: View) -> bool:
    return not view.members and not view.lock.failsafe
