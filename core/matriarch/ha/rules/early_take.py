"""Quorum mode: a lock that was taken early is not given back early (rule 3).

Whoever took a silent leader's lock did so on counted promises, and those ended with the take. The former primary may
live on for the rest of its lease, and voters that this member counted may acknowledge its commits again. Were the lock
released at once, somebody could take it on plain answers and lack such a commit. So it is left to run out: by then the
former primary's lease, which is older, is over as well.
"""

from __future__ import annotations

from dataclasses import replace

from matriarch.ha.actions import Decision, Release
from matriarch.ha.view import View

LOOK_S = 0.5


def taken_early(view: View) -> bool:
    """Whether this member may hold the lock of a primary that lives: a quorum decides, and the sync object is still
    another's. A holder that has been promoted, or is about to be, has written its own name there."""
    mine = view.sync.leader in (None, view.me.name)
    return view.lock_is_mine and view.settings.synchronous and view.sync.quorum > 0 and not mine


def releases(decision: Decision) -> bool:
    """Whether the decision gives the lock up."""
    return any(isinstance(action, Release) for action in decision.actions)


def when_safe(view: View, decision: Decision) -> Decision:
    """The decision, with a release that comes too early put off: nothing after it happens, and nobody renews. A claim
    that this member accepted meanwhile has to end first, too: a release would void it for everybody."""
    if not releases(decision) or not taken_early(view) or not (view.holds_lease or view.claim_binds):
        return decision
    at = next(place for place, action in enumerate(decision.actions) if isinstance(action, Release))
    facts = f"{decision.facts}; the lock is left to run out"
    return replace(decision, actions=decision.actions[:at], facts=facts, lead=False, wake_in=LOOK_S)
