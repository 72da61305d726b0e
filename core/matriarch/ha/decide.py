"""decide(view) -> Decision: the mind of a member, as a short ordered list of rules. The first that answers wins.

Pure: no clock, no randomness, no I/O. The order is the argument for safety: fencing comes before everything, identity
before any use of the data, and isolation before anything that needs the API server.
"""

from __future__ import annotations

from collections.abc import Callable

from matriarch.ha.actions import Decision
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.archive import archive_first
from matriarch.ha.rules.bootstrap import bootstrap
from matriarch.ha.rules.busy import busy
from matriarch.ha.rules.early_take import when_safe
from matriarch.ha.rules.ending import ending
from matriarch.ha.rules.fence import fence, foreign, unreadable
from matriarch.ha.rules.follow import follow
from matriarch.ha.rules.hold import hold
from matriarch.ha.rules.isolation import isolation
from matriarch.ha.rules.race import race
from matriarch.ha.rules.recover import recover
from matriarch.ha.rules.reinitialize import reinitialize
from matriarch.ha.rules.standby_leader import standby_leader
from matriarch.ha.rules.takeover import takeover
from matriarch.ha.rules.terminating import terminating
from matriarch.ha.rules.unusable import unusable
from matriarch.ha.view import View

Rule = Callable[[View], Decision | None]

RULES: tuple[Rule, ...] = (
    fence,
    unreadable,
    ending,
    isolation,
    reinitialize,
    foreign,
    unusable,
    busy,
    terminating,
    standby_leader,
    bootstrap,
    recover,
    hold,
    race,
    takeover,
    follow,
)


def decide(view: View) -> Decision:
    """The answer to a view. Always answers; the last resort is to look again soon."""
    for rule in RULES:
        decision = rule(view)
        if decision is not None:
            return archive_first(view, when_safe(view, decision))
    return Decision((), Reason.SETTLING, f"Postgres is {view.postgres.process}", view.holds_lease, wake_in=0.3)
