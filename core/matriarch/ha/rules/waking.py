"""When a member has to look again.

Most of what it has to know wakes it: the change of a record, the end of a process or of the WAL stream, a standby that
comes or goes, a stream that falls silent, a renewal without an answer. What is left is time itself: the moments at
which a decision may be another one although nothing else has changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from matriarch.ha.lease import OVERDUE_S
from matriarch.ha.rules.race import POLL_AHEAD_S
from matriarch.ha.rules.unusable import SHARE_OF_TTL
from matriarch.ha.scheduled import wake_for
from matriarch.ha.view import View

AHEAD_S = POLL_AHEAD_S - 0.1
"""Seconds before a silent lock expires at which a member looks, so that it has asked its peers by then."""
UNUSABLE_LOOK_S = 1.0
"""Seconds between looks at a Postgres that nobody can use: each of them may begin another attempt to use it."""
LEAST_S = 0.02


def upkeep_wake(view: View, wake_in: float) -> float:
    """`wake_in`, or the seconds to what this member itself has to do sooner."""
    return max(LEAST_S, min(wake_for(view, wake_in), *_own(view), wake_in))


def lock_wake(view: View, wake_in: float) -> float:
    """The same, and sooner when another member's lock will be overdue, or over, if nobody renews it before."""
    return max(LEAST_S, min(upkeep_wake(view, wake_in), *_locks(view), wake_in))


def _own(view: View) -> Iterator[float]:
    """A lease that ends, and a Postgres that has been of no use for too long."""
    if view.holds_lease and view.lease_until is not None:
        yield view.lease_until - view.now
    unusable = view.postgres.unusable_for
    if unusable is not None:
        left = view.settings.ttl * SHARE_OF_TTL - unusable
        yield min(left, UNUSABLE_LOOK_S) if left > 0 else UNUSABLE_LOOK_S


def _locks(view: View) -> Iterator[float]:
    lock = view.lock
    if lock.leader is None or view.lock_is_mine:
        return
    age = view.now - lock.seen_at
    overdue = view.settings.loop_wait + OVERDUE_S - age
    yield overdue if overdue > 0 else OVERDUE_S
    yield lock.ttl - AHEAD_S - age if lock.ttl - AHEAD_S > age else lock.ttl - age
