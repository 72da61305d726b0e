"""SIGTERM: hand over while a healthy replica is there, then stop. The shell leaves once Postgres has ended."""

from __future__ import annotations

from matriarch.ha.actions import Decision, HandOver, Release, StopPostgres
from matriarch.ha.reasons import Reason
from matriarch.ha.view import View

QUIET_S = 1.1
"""Seconds without a change of any EndpointSlice before a planned handover: kube-proxy applies at most one change a
second, so the swap that follows a quiet second reaches clients at once (measured: 25 ms instead of a full second)."""


def terminating(view: View) -> Decision | None:
    """Leave in order: a primary hands over, a replica just stops."""
    if not view.memory.terminating:
        return None
    if view.activity is not None or view.postgres.process == "stopped":
        return None if view.activity is not None else Decision((), Reason.TERMINATING, "Postgres is stopped")
    if view.postgres.in_recovery is False and view.holds_lease and view.lock_is_mine:
        return Decision((HandOver(None, QUIET_S),), Reason.HANDING_OVER, "the pod is terminating", True, 0.5)
    if view.settings.standby_cluster is not None and view.holds_lease and view.lock_is_mine:
        steps = (Release(), StopPostgres())
        return Decision(steps, Reason.TERMINATING, "stopping a standby leader", wake_in=0.5)
    return Decision((StopPostgres(),), Reason.TERMINATING, "stopping a replica", wake_in=0.5)
