"""This member holds the lock, and its Postgres runs."""

from __future__ import annotations

from matriarch.ha.actions import (
    Action,
    ApplySettings,
    Checkpoint,
    Decision,
    Release,
    Renew,
    Restart,
    WriteHistory,
    WriteInitialize,
)
from matriarch.ha.reasons import Reason
from matriarch.ha.rules import requests, slots, sync
from matriarch.ha.rules.busy import too_late
from matriarch.ha.rules.early_take import taken_early
from matriarch.ha.rules.fence import is_sysid
from matriarch.ha.rules.race import SETTINGS_LOST, reconsider, settings_lost, sync_active, unlisted
from matriarch.ha.rules.recover import reclaim
from matriarch.ha.rules.restart import dropped, wish
from matriarch.ha.rules.waking import upkeep_wake
from matriarch.ha.view import View

LOOK_S = 0.5
"""Seconds between looks while something is under way that nobody tells of: a standby that catches up, an answer to a
request. The loss of a standby is told (`Postgres.wait_for_change`)."""


def hold(view: View) -> Decision | None:
    """Lead: promote when needed, keep the promises of synchronous mode, answer requests, keep the records."""
    if view.listed and view.lock.version is None and view.holds_lease and view.activity is None:
        # Somebody deleted it, and with it the address that clients are led to.
        return Decision((Renew(),), Reason.LEADING, "the lock was deleted", lead=True, wake_in=1.0)
    if not view.lock_is_mine or view.activity is not None or view.postgres.process == "stopped":
        return None
    if not view.holds_lease:
        # A writable Postgres without a lease was fenced by an earlier rule: this one is in recovery.
        if settings_lost(view):
            return Decision((), Reason.NOT_ELIGIBLE, SETTINGS_LOST, wake_in=1.0)
        return _give_back(view) or reconsider(view) or reclaim(view)
    if not view.postgres.running:
        return _starts(view)
    if view.postgres.in_recovery is True:
        return _promote(view)
    if view.postgres.in_recovery is None:
        return Decision((), Reason.LEADING, f"Postgres does not answer: {view.postgres.last_error}", True, 1.0)
    return _lead(view)


def _starts(view: View) -> Decision:
    """A start that no activity of this agent sees to: an agent before it began it. It has the same bound."""
    since = view.postgres.starting_since
    age = 0.0 if since is None else view.now - since
    late = too_late(view, f"no connections for {age:.1f} s", age, view.settings.primary_start_timeout)
    return late or Decision((), Reason.STARTING_PRIMARY, "not yet accepting connections", lead=True, wake_in=0.2)


def _promote(view: View) -> Decision:
    promotion = (*_records(view), *sync.promotion(view))
    return _unfit(view) or Decision(promotion, Reason.PROMOTING, "lock held", lead=True, wake_in=0.2)


def _give_back(view: View) -> Decision | None:
    """The lease of a lock that was taken early is over, and nothing has changed: taking it up again would not help."""
    return _unfit(view) if taken_early(view) and view.postgres.in_recovery is True else None


def _unfit(view: View) -> Decision | None:
    """Why the holder of the lock is not promoted; None when it may be."""
    if settings_lost(view):
        return Decision((Release(),), Reason.NOT_ELIGIBLE, SETTINGS_LOST, wake_in=1.0)
    why = unlisted(view)
    if why is not None:
        facts = f"holds the lock, but was {why}"
        return Decision((Release(),), Reason.NOT_ELIGIBLE, facts, wake_in=0.5)
    if _overridden(view):
        facts = "holds the lock, but the sync object is not what it was when the promises were counted"
        return Decision((Release(),), Reason.NOT_ELIGIBLE, facts, wake_in=0.5)
    if view.settings.pause and not view.asked_for:
        return Decision((Release(),), Reason.PAUSED, "no promotion while paused", wake_in=view.settings.loop_wait)
    return None


def _overridden(view: View) -> bool:
    """Whether the former leader, or a person, wrote the sync object after this member had counted on it."""
    if view.memory.counted is None or not sync_active(view) or view.sync.leader == view.me.name:
        return False
    return view.sync.listed != view.memory.counted or view.sync.claim is None


def _lead(view: View) -> Decision:
    records = _records(view)
    if settings_lost(view):
        # A new agent of a primary that runs: it goes on as it was set up.
        return Decision(records, Reason.LEADING, SETTINGS_LOST, lead=True, wake_in=1.0)
    asked = wish(view)
    if asked is not None:
        restart = Restart(True, None, sync.start_primary(view).sync_names, asked.within)
        steps = (*records, *sync.certain(view), *asked.first, restart)
        return Decision(steps, Reason.RESTARTING, asked.facts, lead=True, wake_in=0.5)
    chores = upkeep(view)
    # Without their slots no replica can stream, and so none could take over.
    answer = None if slots.incomplete(view) else requests.answer(view)
    if answer is not None:
        return answer
    steps = sync.step(view)
    reason = Reason.CHANGING_SYNC if steps else Reason.LEADING
    actions = (*records, *chores, *steps)
    under_way = view.due_request.pending or (view.settings.synchronous and (actions or not sync.settled(view)))
    wake = upkeep_wake(view, LOOK_S if under_way else view.settings.loop_wait)
    return Decision(actions, reason, _facts(view), lead=True, wake_in=wake)


def _records(view: View) -> tuple[Action, ...]:
    steps: list[Action] = []
    if not is_sysid(view.config.initialize) and view.postgres.sysid is not None:
        steps.append(WriteInitialize(view.postgres.sysid, view.config.version))
    timeline = view.postgres.timeline
    # Greater than its own: the history of before the data was copied from another cluster, or made anew.
    if timeline is not None and view.config.timeline != timeline and (timeline > 1 or view.config.history):
        steps.append(WriteHistory(timeline))
    return tuple(steps)


def upkeep(view: View) -> tuple[Action, ...]:
    """What a leader keeps in order: settings in force, slots, a checkpoint after a promotion."""
    steps: list[Action] = [*dropped(view)]
    if view.postgres.applied != view.settings or view.memory.reload:
        steps.append(ApplySettings())
    steps += (*slots.keep(view), *slots.logical(view))
    if not view.memory.checkpointed:
        steps.append(Checkpoint())
    return tuple(steps)


def _facts(view: View) -> str:
    listed = ", ".join(view.sync.standbys) or "nobody"
    return f"synchronous with {listed}" if view.settings.synchronous else "asynchronous"
