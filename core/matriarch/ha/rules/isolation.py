"""The API server does not answer. A primary goes on while every member of the failsafe topology accepts it."""

from __future__ import annotations

from matriarch.ha.actions import ConfirmFailsafe, Decision, StartReplica
from matriarch.ha.reasons import Reason
from matriarch.ha.rules import slots
from matriarch.ha.rules.fence import is_sysid
from matriarch.ha.rules.sync import start_primary_blindly
from matriarch.ha.view import View

RETRY_S = 0.5


def isolation(view: View) -> Decision | None:
    """What to do while the API server is unreachable: nothing that needs it."""
    if view.api_ok or view.memory.terminating:
        return None
    if not view.holds_lease:
        steps = slots.moved(view) if view.activity is None else ()
        return Decision(steps, Reason.API_UNREACHABLE, "waiting for the API server", wake_in=1.0)
    if view.activity is not None:
        return Decision(_failsafe(view), Reason.API_UNREACHABLE, f"during {view.activity.name}", True, RETRY_S)
    if _can_restart(view):
        # A leader that died while it was being promoted has a replica's data still.
        control, alone = view.postgres.control, view.settings.standby_cluster is None
        was_primary = alone and control is not None and control.was_primary
        restart = start_primary_blindly(view) if was_primary else StartReplica(None)
        return Decision((*_failsafe(view), restart), Reason.STARTING_PRIMARY, "API unreachable, lease held", True, 0.5)
    return Decision(_failsafe(view), Reason.FAILSAFE, _facts(view), lead=True, wake_in=RETRY_S)


def _can_restart(view: View) -> bool:
    # This rule comes before the one that leaves foreign data alone. What is on record may be another member's cluster:
    # one whose own identifier found no answer is given up after a while, and must not serve anybody then (rule 6).
    postgres, recorded = view.postgres, view.config.initialize
    on_record = is_sysid(recorded) and postgres.sysid == recorded
    return postgres.data == "present" and postgres.process == "stopped" and postgres.failures < 3 and on_record


def failsafe_applies(view: View) -> bool:
    """Whether this member may be kept primary by its peers: failsafe mode is on and the topology knows it."""
    return view.settings.failsafe_mode and view.me.name in (view.lock.failsafe or {})


def _failsafe(view: View) -> tuple[ConfirmFailsafe, ...]:
    """Ask again when half the lease is used up: early enough for several rounds before it ends."""
    if not failsafe_applies(view) or view.lease_until is None:
        return ()
    left = view.lease_until - view.now
    return (ConfirmFailsafe(),) if left < view.settings.ttl - view.settings.loop_wait else ()


def _facts(view: View) -> str:
    left = (view.lease_until or view.now) - view.now
    mode = "asking the other members" if failsafe_applies(view) else "failsafe mode does not apply"
    return f"{mode}; lease ends in {left:.1f} s"
