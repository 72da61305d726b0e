"""A person asked for a new copy of this member's data: whatever is wrong with the present one, paused or not."""

from __future__ import annotations

from matriarch.ha.actions import Clone, Decision
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.fence import is_sysid
from matriarch.ha.rules.sync import relied_on
from matriarch.ha.rules.upstream import copy_source, leader_upstream, waits_for_leader
from matriarch.ha.view import View


def reinitialize(view: View) -> Decision | None:
    """Copy the data from a running leader. Foreign data, data that does not start, and data that may not follow are
    what people ask it for, so it comes before the rules that leave those alone."""
    if not view.memory.reinitialize or view.activity is not None or view.memory.terminating:
        return None
    if view.lock_is_mine or view.holds_lease or view.promise_binds or view.postgres.data == "unknown":
        return None
    leader, source = view.member(view.lock.leader), leader_upstream(view)
    ready = leader is not None and leader.state == "running" and leader.role in ("primary", "standby_leader")
    if source is None or not ready or not is_sysid(view.config.initialize) or waits_for_leader(view):
        return None
    if relied_on(view):
        return Decision((), Reason.RECLONING, "commits still wait for this standby", wake_in=0.1)
    copy = copy_source(view, source)
    return Decision((Clone(copy),), Reason.RECLONING, f"asked for by a person, from {copy.member}", wake_in=1.0)
