"""A restart of this member's Postgres at a time (after Patroni): what is remembered, and what has become of it.

The wall clock is right for a person's schedule; whoever changes it by hours in between moves the restart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matriarch.ha.view import View

SOON_S = 0.05
"""What is due this soon, in seconds, is due."""
LEAD_S = 1.0
"""Seconds before its restart from which a replica tells the primary that it is about to stop."""


@dataclass(frozen=True, slots=True)
class RestartFilters:
    """What must hold when the restart is due. `below`: the running server is older than this version number."""

    role: str | None = None
    below: int | None = None
    version: str | None = None
    """`below` as the person wrote it."""
    pending: bool = False

    def document(self) -> dict[str, Any]:
        """As members show it."""
        found: dict[str, Any] = {}
        if self.role is not None:
            found["role"] = self.role
        if self.version is not None:
            found["postgres_version"] = self.version
        if self.pending:
            found["restart_pending"] = True
        return found

    def mismatch(self, role: str, server_version: int | None, pending: Mapping[str, Any]) -> str | None:
        """Which filter keeps the restart from being done; None when none does."""
        if self.role is not None and self.role != role:
            return f"the role is {role}, not {self.role}"
        if self.below is not None and (server_version is None or server_version >= self.below):
            return f"the server's version is not below {self.version}"
        return "nothing waits for a restart" if self.pending and not pending else None


@dataclass(frozen=True, slots=True)
class ScheduledRestart:
    """`at` in UTC epoch seconds, `schedule` the same as ISO-8601. `timeout` in seconds.

    `postmaster_start_time` is of the server that is to be restarted; another server has no need of it.
    """

    at: float
    schedule: str
    postmaster_start_time: str | None = None
    filters: RestartFilters = RestartFilters()
    timeout: float | None = None

    def document(self) -> dict[str, Any]:
        """As `GET /patroni` shows it."""
        found = {"schedule": self.schedule, **self.filters.document()}
        if self.timeout is not None:
            found["timeout"] = math.ceil(self.timeout)
        return found

    def status_document(self) -> dict[str, Any]:
        """As the `status` annotation has it."""
        return {**self.document(), "postmaster_start_time": self.postmaster_start_time}


def early(at: float, view: View) -> float:
    """Seconds until a time; negative when it is past."""
    return at - view.wall


def too_late(at: float, view: View) -> bool:
    """Whether nobody expects any more that something is done that was scheduled for `at` (after Patroni)."""
    return early(at, view) < -1.5 * max(10.0, view.settings.loop_wait)


def wake_for(view: View, wake_in: float) -> float:
    """`wake_in`, or the seconds until what is scheduled next here, when that is sooner."""
    restart, request = view.memory.scheduled_restart, view.request
    if restart is None and request.scheduled_at is None:
        return wake_in
    times = [restart.at, restart.at - LEAD_S] if restart is not None else []
    if request.pending and request.scheduled_at is not None:
        times.append(request.scheduled_at)
    ahead = [early(at, view) for at in times if early(at, view) > SOON_S]
    return min([wake_in, *ahead])
