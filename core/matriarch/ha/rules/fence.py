"""Rules 1 and 2: without a lease this member is not writable. First in the list, paused or not.

Pause is no licence: a paused primary that can neither renew its lock nor ask its peers cannot know that it is still
paused, so it is fenced like any other.
"""

from __future__ import annotations

from matriarch.ha.actions import Decision, Fence, StopPostgres
from matriarch.ha.reasons import Reason
from matriarch.ha.view import View

LEADER_ACTIVITIES = frozenset({"Bootstrap", "StartPrimary", "Promote", "HandOver"})
"""Activities that may make, or keep, this member writable."""
STOPPING = frozenset({"Restart", "StopPostgres"})
"""Activities that begin with a stop, of a primary or of a replica."""


def fence(view: View) -> Decision | None:
    """Kill a Postgres that may be writable when there is no lease for it.

    A lock that names somebody else ends the lease at once: a fast failover takes it before its time is over. An absent
    lock object proves nothing; the keeper makes it again or finds out.
    """
    if view.holds_lease and (view.lock_is_mine or view.lock.version is None):
        return None
    if view.activity is not None:
        if view.activity.name == "HandOver" and (view.postgres.process == "stopped" or view.postgres.closed):
            # It has come to the release, which ends the lease itself.
            return None
        if view.activity.name in LEADER_ACTIVITIES or (view.activity.name in STOPPING and view.postgres.writable):
            return Decision((Fence(),), Reason.LEASE_LOST, f"during {view.activity.name}", wake_in=0.1)
        return None
    if view.postgres.writable or view.postgres.closed:
        # A shutdown that nobody sees to any more may wait for its archive for ever: what is left is archived later.
        return Decision((Fence(),), Reason.LEASE_LOST, _why(view), wake_in=0.1)
    return None


def foreign(view: View) -> Decision | None:
    """Rule 6: data of another system identifier never joins. It is left alone for a person to look at."""
    mine, cluster = view.postgres.sysid, view.config.initialize
    if mine is None or not is_sysid(cluster) or mine == cluster or never_used(view):
        return None
    facts = f"data directory has system identifier {mine}, the cluster has {cluster}: reinitialize this member"
    if view.postgres.process == "stopped" or view.activity is not None:
        return Decision((), Reason.FOREIGN_DATA, facts, wake_in=view.settings.loop_wait)
    return Decision((StopPostgres(),), Reason.FOREIGN_DATA, facts, wake_in=1.0)


def never_used(view: View) -> bool:
    """The data was initialised here, and another member's initialisation is the one that counts, or none is on record
    that this member could go on with: nobody ever wrote to it, so it is as good as none."""
    postgres, record = view.postgres, view.config.initialize
    if not postgres.unborn or postgres.process != "stopped" or postgres.sysid == record:
        return False
    if is_sysid(record):
        return True
    # Under its own lock it goes on with what it began. A copy of another cluster may be the only one that is left.
    begun_here = postgres.control is not None and postgres.control.was_primary
    return begun_here and not view.lock_is_mine


def unreadable(view: View) -> Decision | None:
    """Rule 7: a data directory that cannot be read allows no conclusion. The lock is left to expire."""
    if view.postgres.data != "unknown" or view.activity is not None or view.postgres.process != "stopped":
        return None
    return Decision((), Reason.DATA_UNREADABLE, view.postgres.last_error, wake_in=1.0)


def is_sysid(text: str | None) -> bool:
    """Whether `initialize` holds a system identifier (at least ten digits)."""
    return text is not None and len(text) >= 10 and text.isdigit()


def _why(view: View) -> str:
    if view.holds_lease:
        return f"the lock names {view.lock.holder or 'nobody'}"
    if view.lease_until is None:
        return f"no lease; the lock names {view.lock.holder or 'nobody'}"
    return f"the lease ended {view.now - view.lease_until:.2f} s ago"
