"""When a member has to look again.

Most of what it has to know wakes it: the change of a record, the end of a process or of the WAL stream, a standby that
comes or goes, a stream that falls silent, a renewal without an answer. What is left is time itself: the moments at
which a decision may be another one although nothing else has changed.
"""

from __future__ import annotations

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
    """`wake_in`, or the seconds to what this member itself has to do sooner: when its lease ends, and while nobody can
    use its Postgres."""
    wake = wake_for(view, wake_in)
    if view.lease_until is not None and view.holds_lease:
        wake = min(wake, view.lease_until - view.now)
    if view.postgres.unusable_for is not None:
        left = view.settings.ttl * SHARE_OF_TTL - view.postgres.unusable_for
        wake = min(wake, left if left > 0 else UNUSABLE_LOOK_S, UNUSABLE_LOOK_S)
    return max(LEAST_S, wake)


def lock_wake(view: View, wake_in: float) -> float:
    """The same, and sooner when another member's lock will be overdue, or over, if nobody renews it before."""
    wake, lock = upkeep_wake(view, wake_in), view.lock
    if lock.leader is None or view.lock_is_mine:
        return wake
    age = view.now - lock.seen_at
    overdue, ahead = view.settings.loop_wait + OVERDUE_S - age, lock.ttl - AHEAD_S - age
    wake = min(wake, overdue if overdue > 0 else OVERDUE_S, ahead if ahead > 0 else lock.ttl - age)
    return max(LEAST_S, wake)
