"""Protocols with a step left out or swapped: those that break, where they break, and those that another step covers."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.scenario import Protocol


@dataclass(frozen=True, slots=True)
class Mutant:
    """`where`: the title of a scenario that tells it from the sound protocol."""

    protocol: Protocol
    where: str
    says: str = "rule"

    def __str__(self) -> str:
        return left_out(self.protocol)


def left_out(protocol: Protocol) -> str:
    """The names of what a protocol leaves out."""
    names = (name for name in Protocol.__dataclass_fields__ if getattr(protocol, name))
    return " and ".join(name.replace("_", " ") for name in names)


_P = "priority, b"
_P_BAD = "priority, b, lost replies, crashes, agents killed"
_P_JOINS = "priority, b, c joins"
_P_API = "priority, b, API outage"
_P_LATE = "priority, b, API outage, lost reply to a take"
_Q = "quorum, any 1 of b and c"
_Q_JOINS = "quorum, b, c joins"
_Q_KILLED = "quorum, any 1 of b and c, an agent killed"
_Q_FREE = "quorum, any 1 of b and c, expiry and release"

BROKEN = (
    # The candidate and those whom it counts.
    Mutant(Protocol(no_promise=True), _Q),
    Mutant(Protocol(minority=True), _Q),
    Mutant(Protocol(receiver_stays_open=True), _Q),
    Mutant(Protocol(promise_dropped_early=True), _Q),
    Mutant(Protocol(promise_forgotten=True), _Q_KILLED),
    Mutant(Protocol(lock_reread_at_take=True), _Q),
    Mutant(Protocol(least_advanced=True), _Q, "histories"),
    Mutant(Protocol(positions_asked_too_early=True), _Q, "histories"),
    Mutant(Protocol(positions_asked_too_early=True), _Q_FREE, "histories"),
    Mutant(Protocol(released_after_early_take=True), "quorum, any 2 of b, c, d", "histories"),
    Mutant(Protocol(no_claim=True), _Q_JOINS),
    Mutant(Protocol(old_claim_reused=True, promotion_trusts_a_new_list=True), _Q_JOINS),
    Mutant(Protocol(no_claim=True, no_write_before_promotion=True), _P),
    Mutant(Protocol(old_claim_reused=True, no_write_before_promotion=True), _P),
    Mutant(Protocol(promoted_open=True), "priority, b, strict", "strict"),
    # The primary.
    Mutant(Protocol(claim_ignored=True), _P),
    Mutant(Protocol(no_renewal_before_override=True), _P),
    Mutant(Protocol(names_first=True), _P),
    Mutant(Protocol(names_first=True), _Q),
    Mutant(Protocol(object_first=True), _P_JOINS),
    Mutant(Protocol(object_first=True), _Q),
    Mutant(Protocol(no_wait=True), _P_JOINS, "histories"),
    Mutant(Protocol(no_wait=True), _Q, "histories"),
    Mutant(Protocol(unanswered_is_answered=True), _P_BAD),
    Mutant(Protocol(restart_unsynchronised=True), _P_BAD),
    Mutant(Protocol(sync_without_cas=True), _P),
    # Failsafe.
    Mutant(Protocol(failsafe_by_majority=True), _P_API, "failsafe"),
    Mutant(Protocol(failsafe_despite_promise=True), _P_LATE, "failsafe"),
    Mutant(Protocol(binding_ignored=True), _P_API, "failsafe"),
)


@dataclass(frozen=True, slots=True)
class Covered:
    """Left out alone, it breaks nothing in `where`, because another step does the same work."""

    protocol: Protocol
    where: tuple[str, ...]
    by: str = field(compare=False, default="")

    def __str__(self) -> str:
        return left_out(self.protocol)


_ALL_P = (_P, "priority, b and c", _P_JOINS)

COVERED = (
    Covered(
        Protocol(no_promise=True, no_claim=True, old_claim_reused=True, lock_reread_at_take=True),
        _ALL_P,
        "priority mode: who is listed has everything and stops the primary; the compare-and-swap of the sync object "
        "before the promotion makes sure that it is listed still",
    ),
    Covered(
        Protocol(receiver_stays_open=True),
        _ALL_P,
        "priority mode: the same; what still comes in is only more",
    ),
    Covered(
        Protocol(no_write_before_promotion=True),
        (*_ALL_P, _Q_JOINS),
        "promise, a claim after it, and the take on the promised version: no renewal, so no override, came between",
    ),
    Covered(Protocol(promotion_trusts_a_new_list=True), (_Q_JOINS,), "quorum mode: the claim"),
)
