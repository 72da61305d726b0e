"""The leader's Postgres died and its agent lives: start it again in place, or let a replica take over?

Whichever is quicker, where nothing is lost by either. In synchronous mode a listed standby has every acknowledged
commit, so the two may be compared. In asynchronous mode a failover loses what had not been streamed when Postgres
died, and a restart loses nothing: there it is given up only for `primary_start_timeout` (safety before speed).
`primary_start_timeout: 0` is the person's word that a crash is to be a failover at once, in both modes.
"""

from __future__ import annotations

from matriarch.ha.actions import Decision, Fence
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.race import sync_active
from matriarch.ha.rules.succession import give_way
from matriarch.ha.view import View

FAILOVER_S = 1.5
"""What a failover costs: the release, the race, a promotion, and clients that find the new address."""
START_S = 0.5
"""What a start costs besides replaying WAL."""
REPLAY_RATE = 64 * 1024 * 1024.0
"""Bytes of WAL a second that crash recovery gets through, as long as none here has been measured. A recovery that is
overrated costs a failover without need, one that is underrated some seconds without writes."""
LEAST_MEASURED = 16 * 1024 * 1024
"""Bytes that a recovery must have replayed before its rate says something."""
PATIENCE_S = 3.0
"""Seconds beyond the estimate for which a start may go on: as long as a failover would have taken, and once more."""


def give_way_after_crash(view: View) -> Decision | None:
    """Postgres is down and would recover in place: hand the lock over when that takes too long. None: start it."""
    control, estimate = view.postgres.control, recovery_s(view)
    if control is None or control.clean or estimate is None or estimate <= _longest(view):
        return None
    facts = f"crash recovery would take about {estimate:.1f} s"
    return give_way(view, Reason.HANDING_OVER, facts)


def give_up_start(view: View, age: float) -> Decision | None:
    """The start has been under way for `age` seconds: give it up when that is too long and a replica can take over."""
    if view.memory.primary_seen is None or age <= max(_longest(view), _patience(view)):
        # An agent that never saw its primary run leaves it to the common bound (rules/busy.py).
        return None
    return give_way(view, Reason.START_FAILED, f"StartPrimary for {age:.1f} s", (Fence(),))


def recovery_s(view: View) -> float | None:
    """How long Postgres would take to start in place; None when that cannot be told."""
    ahead = bytes_to_replay(view)
    return None if ahead is None else START_S + ahead / (view.memory.replay_rate or REPLAY_RATE)


def bytes_to_replay(view: View) -> int | None:
    """The WAL between the last checkpoint and the last known end."""
    control, seen = view.postgres.control, view.memory.primary_seen
    if control is None or control.redo_lsn is None or seen is None:
        return None
    return 0 if control.clean else max(0, seen.lsn - control.redo_lsn)


def measured_rate(replayed: int | None, seconds: float) -> float | None:
    """Bytes a second of a recovery that took `seconds` from the start to the first connection; None when it was too
    little to tell."""
    if replayed is None or replayed < LEAST_MEASURED:
        return None
    return replayed / max(seconds - START_S, 0.1)


def _longest(view: View) -> float:
    """The longest start in place that is still better than a failover."""
    timeout = view.settings.primary_start_timeout
    return min(FAILOVER_S, timeout) if sync_active(view) else timeout


def _patience(view: View) -> float:
    """An estimate that was missed gets some more time, except by a person's limit."""
    if not sync_active(view):
        return 0.0
    timeout = view.settings.primary_start_timeout
    patience = (recovery_s(view) or START_S) + PATIENCE_S
    return min(patience, timeout) if timeout > 0 else patience
