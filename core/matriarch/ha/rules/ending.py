"""Postgres shuts down, and no activity of this agent sees to it."""

from __future__ import annotations

from matriarch.ha.actions import Decision, StopPostgres
from matriarch.ha.reasons import Reason
from matriarch.ha.view import View


def ending(view: View) -> Decision | None:
    """Make the shutdown this agent's own: an agent before it began it, or a person did. Its own have an end, by ever
    harder means, while one that hangs would keep the lock without a primary for ever. In a pause it is a person's, and
    there may be one as long as nobody has read the settings."""
    if view.postgres.process != "stopping" or view.activity is not None:
        return None
    if view.settings.pause or not view.config.settings_seen:
        return None
    lead = view.holds_lease and view.lock_is_mine
    return Decision((StopPostgres(),), Reason.STOPPING, "a shutdown that this agent did not begin", lead, 0.5)
