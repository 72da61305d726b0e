"""Arithmetic of leases and of the lock's expiry. Seconds on one member's own clock; no two clocks are ever compared."""

from __future__ import annotations

DRIFT = 0.03
"""Largest relative difference between two machines' clock rates that the lease allows for."""
MARGIN_S = 0.25
"""Least time between the end of a lease and the earliest moment at which an observer may act, in seconds: the leash
needs some milliseconds to kill."""

OVERDUE_S = 0.75
"""Seconds for which a renewal may be late before it is worth a question whether the holder is, or the watch."""


def lease_end(sent: float, ttl: float) -> float:
    """End of a lease whose renewal was sent at `sent`.

    Observers count `ttl` from when they saw the renewal, which is later than `sent`; the lease ends earlier than that
    by the drift allowance, so it is over on the holder's clock before it can be over on anybody else's.
    """
    return sent + ttl - max(MARGIN_S, ttl * DRIFT)


def expired(seen_at: float, ttl: float, now: float) -> bool:
    """Whether an observer that saw the record change at `seen_at` may hold the lock for free."""
    return now >= seen_at + ttl
