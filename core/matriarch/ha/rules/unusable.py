"""A Postgres that runs and is of no use: its postmaster hangs, its disk is stuck, its files are out of reach.

Health is whether a client can write, and not whether a process lives. The adapter finds out with sessions of its own
(`PostgresView.unusable_for`); who waits for a synchronous standby, finds all connections taken, or only waits long is
not meant.
"""

from __future__ import annotations

from matriarch.ha.actions import Decision, Kill
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.race import sync_active
from matriarch.ha.rules.succession import give_way
from matriarch.ha.view import View

SHARE_OF_TTL = 2 / 3
"""Part of the TTL for which a Postgres may be unusable: a member that cannot serve is to be replaced about as soon as
one that cannot be heard."""
AGAIN_S = 60.0
"""Seconds after a kill in which there is no other: what a restart has not cured, a second one will not cure either."""
_CANCELLED = frozenset({"Promote", "HandOver"})
"""Activities that would wait for such a server without end."""


def unusable(view: View) -> Decision | None:
    """Kill it after a while. A leader gives way to a replica where nothing is lost by that, or where a restart has not
    helped; else it starts again in place."""
    postgres = view.postgres
    if view.settings.pause or postgres.process != "running" or not _meant(view):
        return None
    if postgres.unusable_for is None or postgres.unusable_for < view.settings.ttl * SHARE_OF_TTL:
        return None
    facts = f"for {postgres.unusable_for:.0f} s: {postgres.unusable_why}"
    killed = view.memory.killed_unusable_at
    again = killed is not None and view.now - killed < AGAIN_S
    leads = view.lock_is_mine and view.holds_lease
    if leads and postgres.in_recovery is not True and (again or sync_active(view)):
        given = give_way(view, Reason.UNUSABLE, facts, (Kill(),))
        if given is not None:
            return given
    return None if again else Decision((Kill(),), Reason.UNUSABLE, facts, wake_in=0.1)


def _meant(view: View) -> bool:
    return view.activity is None or view.activity.name in _CANCELLED
