"""SIGTERM: hand over while a healthy replica is there, then stop. The shell leaves once Postgres has ended."""

from __future__ import annotations

from matriarch.ha.actions import Decision, HandOver, Release, StopPostgres
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.sync import relied_on
from matriarch.ha.view import View

SHORT_GRACE_S = 5.0


def terminating(view: View) -> Decision | None:
    """Leave in order: a primary hands over, a replica just stops."""
    if not view.memory.terminating:
        return None
    if view.activity is not None or view.postgres.process == "stopped":
        return None if view.activity is not None else Decision((), Reason.TERMINATING, "Postgres is stopped")
    if view.settings.pause and view.holds_lease and view.lock_is_mine:
        # Nobody may take the lock in a pause: it is kept, and this member goes on with it when its pod is back.
        return Decision((StopPostgres(),), Reason.TERMINATING, "stopping the leader of a paused cluster", True, 0.5)
    if view.postgres.in_recovery is False and view.holds_lease and view.lock_is_mine:
        hurried = _hurried(view)
        # The deletion itself was a change: the pod no longer counts as ready.
        step = HandOver(None, view.now, hurried)
        facts = "the pod is deleted by force" if hurried else "the pod is terminating"
        return Decision((step,), Reason.HANDING_OVER, facts, True, 0.5)
    if view.settings.standby_cluster is not None and view.holds_lease and view.lock_is_mine:
        steps = (Release(), StopPostgres())
        return Decision(steps, Reason.TERMINATING, "stopping a standby leader", wake_in=0.5)
    if relied_on(view):
        return Decision((), Reason.TERMINATING, "commits still wait for this standby", wake_in=0.1)
    return Decision((StopPostgres(),), Reason.TERMINATING, "stopping a replica", wake_in=0.5)


def _hurried(view: View) -> bool:
    """Deleted by force: the pod is gone from the API, and the kubelet kills what is left after two seconds."""
    mine = view.member(view.me.name)
    if mine is None or mine.pod_uid not in (None, view.me.pod_uid):
        return True
    return mine.grace_s is not None and mine.grace_s < SHORT_GRACE_S
