"""Restarts that a person asks for, now or at a time: one place for leader, standby leader and replica."""

from __future__ import annotations

from dataclasses import dataclass

from matriarch.ha.actions import ForgetRestart
from matriarch.ha.documents.vocabulary import role_of
from matriarch.ha.scheduled import SOON_S, ScheduledRestart, early, too_late
from matriarch.ha.view import View


@dataclass(frozen=True, slots=True)
class Wish:
    """A restart to be done now. `first` goes before it. `within`: seconds it may take before somebody else leads."""

    facts: str
    first: tuple[ForgetRestart, ...] = ()
    within: float | None = None


def wish(view: View) -> Wish | None:
    """The restart that is asked for now; None when there is none."""
    if view.memory.restart:
        return Wish("asked for by a person", within=view.memory.restart_within)
    scheduled = view.memory.scheduled_restart
    if scheduled is None or dropped(view) or not _due(view, scheduled):
        return None
    return Wish(f"scheduled for {scheduled.schedule}", (ForgetRestart(""),), scheduled.timeout)


def dropped(view: View) -> tuple[ForgetRestart, ...]:
    """Takes back a scheduled restart that has lost its purpose, with the reason."""
    scheduled = view.memory.scheduled_restart
    why = _why_not(view, scheduled) if scheduled is not None else None
    return (ForgetRestart(why),) if why is not None else ()


def _due(view: View, scheduled: ScheduledRestart) -> bool:
    """Nothing scheduled is done while paused."""
    return not view.settings.pause and early(scheduled.at, view) <= SOON_S


def _why_not(view: View, scheduled: ScheduledRestart) -> str | None:
    started, then = view.postgres.postmaster_start_time, scheduled.postmaster_start_time
    if started is not None and then is not None and started != then:
        return "Postgres was restarted meanwhile"
    if too_late(scheduled.at, view):
        return "its time is past"
    if not _due(view, scheduled):
        return None
    return scheduled.filters.mismatch(role_of(view), view.postgres.server_version, view.postgres.pending_restart)
