"""A long activity is under way: keep the lock if it is ours, and know when to give the activity up."""

from __future__ import annotations

from matriarch.ha.actions import BreakOff, Decision, Fence, Release, StopPostgres
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.crash import give_up_start
from matriarch.ha.rules.race import sync_active
from matriarch.ha.rules.upstream import leader_upstream, remote_upstream
from matriarch.ha.rules.waking import lock_wake
from matriarch.ha.view import MemberView, View

PATIENCE_S = 10.0
"""Seconds for a replica's start on rewound data whose source is not the leader any more, or of a leader on such data:
whoever else has data may lead."""
BECOMING_PRIMARY = frozenset({"StartPrimary", "StartReplica", "Promote", "Restart"})
"""What a leader may be at when it has no primary to show: bounded, or a server that hangs would keep the lock."""

LOOK_S = 1.0


def busy(view: View) -> Decision | None:
    """Wait for the activity; cancel one that has lost its purpose."""
    activity = view.activity
    if activity is None:
        return None
    age = view.now - activity.since
    lead = view.holds_lease and view.lock_is_mine
    facts = f"{activity.name} for {age:.1f} s"
    if activity.name == "StartPrimary" and lead and not view.settings.pause:
        given_up = give_up_start(view, age)
        if given_up is not None:
            return given_up
    if activity.name == "ArchiveWal" and view.lock.leader is None:
        # It waited for the archive so that it could follow. Now somebody has to lead.
        return Decision((BreakOff(),), Reason.BUSY, f"{facts}; the lock is free", lead, wake_in=0.1)
    if activity.name == "StartReplica" and age > PATIENCE_S and _waits_in_vain(view):
        return Decision((Fence(),), Reason.START_FAILED, f"{facts}: its WAL is to come from somebody else", wake_in=0.1)
    bound = view.settings.primary_start_timeout if activity.within is None else activity.within
    if activity.name == "StartReplica" and view.postgres.unproven and view.memory.followed is None:
        # Nobody sends what a server on rewound data may need.
        bound = PATIENCE_S
    late = too_late(view, facts, age, bound) if activity.name in BECOMING_PRIMARY else None
    if late is not None:
        return late
    if view.memory.terminating and activity.name not in ("HandOver", "StopPostgres", "Promote", "StartPrimary"):
        return Decision((StopPostgres(),), Reason.TERMINATING, f"cancelling {activity.name}", lead, 0.5)
    # Its end wakes this member. A holder has limits to look at, all others their lock's.
    wake = LOOK_S if view.lock_is_mine else lock_wake(view, view.settings.loop_wait)
    return Decision((), Reason.BUSY, facts, lead, wake_in=wake)


def too_late(view: View, facts: str, age: float, bound: float) -> Decision | None:
    """A holder has had no primary to show for `age` seconds, and may have none for `bound` (0: without limit). It lets
    somebody else lead; None when there is time left, or nobody who could: in a pause nobody may."""
    if view.settings.pause:
        return None
    if view.lock_is_mine and age > bound > 0 and any(_can_lead(view, member) for member in view.peers()):
        return Decision((Fence(), Release()), Reason.START_FAILED, f"{facts}, not in time", wake_in=0.5)
    return None


def _waits_in_vain(view: View) -> bool:
    """Rewound data needs WAL of its source before it can be used, and somebody else leads by now, or at another
    address; or a standby cluster's leader was started while nobody could tell whom to follow. The start is broken off,
    and begins anew with who has the WAL; any other start only replays what is here."""
    source = remote_upstream(view) if view.lock_is_mine else leader_upstream(view)
    return view.postgres.unproven and source is not None and source != view.memory.followed


def _can_lead(view: View, member: MemberView) -> bool:
    """Whether a failover is possible: without one, crash recovery would only begin anew."""
    listed = not sync_active(view) or view.sync.lists(member.name)
    return member.state == "running" and member.tags.may_lead and listed
