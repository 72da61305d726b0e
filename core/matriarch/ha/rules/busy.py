"""A long activity is under way: keep the lock if it is ours, and know when to give the activity up."""

from __future__ import annotations

from matriarch.ha.actions import Decision, Fence, Release, StopPostgres
from matriarch.ha.reasons import Reason
from matriarch.ha.view import View


def busy(view: View) -> Decision | None:
    """Wait for the activity; cancel one that has lost its purpose."""
    activity = view.activity
    if activity is None:
        return None
    age = view.now - activity.since
    lead = view.holds_lease and view.lock_is_mine
    facts = f"{activity.name} for {age:.1f} s"
    if activity.name == "StartPrimary" and age > view.settings.primary_start_timeout > 0 and _somebody_else(view):
        return Decision((Fence(), Release()), Reason.START_FAILED, facts, wake_in=0.5)
    if activity.within is not None and age > activity.within and lead and _somebody_else(view):
        return Decision((Fence(), Release()), Reason.START_FAILED, f"{facts}, not in time", wake_in=0.5)
    if view.memory.terminating and activity.name not in ("HandOver", "StopPostgres", "Promote", "StartPrimary"):
        return Decision((StopPostgres(),), Reason.TERMINATING, f"cancelling {activity.name}", lead, 0.5)
    return Decision((), Reason.BUSY, facts, lead, wake_in=1.0)


def _somebody_else(view: View) -> bool:
    return any(member.state == "running" for member in view.peers())
