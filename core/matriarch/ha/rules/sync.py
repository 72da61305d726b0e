"""Synchronous mode, from the primary's side (rule 3): what is done, and in which order, so that the sync object always
tells the truth about who may be promoted.

Names enter and leave by the steps of quorum.py; here they are framed by what makes each step certain: every object
write is a compare-and-swap, losing one ends the step; a write without an answer is followed by one with, before any
name changes; and while another member claims the object, the lock is renewed before it is overridden.
"""

from __future__ import annotations

from matriarch.ha.actions import Action, Promote, Renew, SetSyncNames, StartPrimary, WriteSync
from matriarch.ha.quorum import Goal, Promise, next_step, state_of
from matriarch.ha.rules.standbys import goal_of, sure
from matriarch.ha.view import View
from matriarch.words.sync_names import BLOCKED, NOBODY, SyncNames, any_of, every

LEAVE_S = 2.0
"""Seconds that a synchronous standby gives the primary to do without it before it stops."""


def before_promotion(view: View) -> tuple[Action, ...]:
    """Make the sync object say that nobody but this member may be promoted, before it commits anything of its own.
    Written also when it is read so already: what is read may be from a time when this member led, and the write fails
    when somebody has led since. Strict mode: nothing is acknowledged before a standby is there for it."""
    if not view.settings.synchronous:
        return disable(view)
    steps: list[Action] = [WriteSync(view.me.name, (), view.sync.version)]
    wanted = BLOCKED if view.settings.synchronous_mode_strict else NOBODY
    if view.postgres.sync_names != wanted and (wanted.blocks or view.postgres.sync_names is not None):
        steps.append(SetSyncNames(wanted))
    return tuple(steps)


def promotion(view: View) -> tuple[Action, ...]:
    """Promote, after the sync object says that nobody else may be. Each step is taken only when the one before it
    succeeded, so the taking of the lock may stand before them in one decision: a failover has no time for a look in
    between."""
    return (*before_promotion(view), Promote())


def disable(view: View) -> tuple[Action, ...]:
    """Synchronous mode is off: empty the object, then the setting."""
    steps: list[Action] = [*emptied(view)]
    if view.postgres.running and view.postgres.sync_names not in (None, NOBODY):
        steps.append(SetSyncNames(NOBODY))
    return tuple(steps)


def emptied(view: View) -> tuple[WriteSync, ...]:
    """The object without anybody, when it is not certain to be so. What commits wait for stays in force: where the
    server stops being a primary next, none of those that wait is acknowledged by that."""
    needed = view.sync.leader is not None or (_unsure(view) and view.sync.version is not None)
    return (WriteSync(None, (), view.sync.version),) if needed else ()


def certain(view: View) -> tuple[Action, ...]:
    """Before a start as primary: make sure who is listed, by a write that is answered. A write of an earlier process
    that is still under way fails after it. Where synchronous mode is off, it may be switched on at any moment: then the
    members that another leader had listed must not count as having everything."""
    if not view.settings.synchronous:
        return (WriteSync(None, (), view.sync.version),) if _anothers(view) else ()
    if not _unsure(view):
        return ()
    first: tuple[Action, ...] = (Renew(),) if view.sync.claim is not None else ()
    return (*first, _again(view))


def start_primary(view: View) -> StartPrimary:
    """Start with everybody in force who is listed, and as many acknowledging as the object's quorum asks for. That also
    where synchronous mode is off and the object not emptied yet: it may be switched on again before it is."""
    listed, quorum = _listed(view)
    if not listed:
        strict = view.settings.synchronous and view.settings.synchronous_mode_strict
        return StartPrimary(BLOCKED if strict else NOBODY)
    return StartPrimary(_spelled(view, listed, len(listed) - quorum))


def start_primary_blindly(view: View) -> StartPrimary:
    """The same while the API server cannot be asked: when it is not certain who is listed, nothing is acknowledged."""
    if _anothers(view) or (view.settings.synchronous and _unsure(view)):
        return StartPrimary(BLOCKED)
    return start_primary(view)


def step(view: View) -> tuple[Action, ...]:
    """The next safe step towards the wanted set of synchronous standbys; nothing when it is reached.

    An object that carries a claim, or names another leader, means that somebody took this primary for silent. The
    renewal voids their promise, or tells this primary that it has lost; only after it may the object be overridden.
    """
    contested = view.sync.claim is not None or _anothers(view)
    first: tuple[Action, ...] = (Renew(),) if contested else ()
    if not view.settings.synchronous:
        steps = disable(view)
        return (*first, *steps) if steps else ()
    in_force = view.postgres.sync_names
    if in_force is None:
        return ()
    if view.sync.leader != view.me.name or contested or _unsure(view):
        # A write that is still under way fails once this one has succeeded: both swap on a version.
        return (*first, _again(view))
    if not view.postgres.sync_names_sure:
        return (SetSyncNames(in_force),)
    return _towards(view, goal_of(view), in_force)


def settled(view: View) -> bool:
    """Whether the wanted standbys are listed and in force, so that only another wish would change anything. A limit on
    their lag may be passed at any time."""
    if view.settings.maximum_lag_on_syncnode > 0 or view.postgres.sync_names is None:
        return False
    goal, (listed, quorum), names = goal_of(view), _listed(view), view.postgres.sync_names
    if not goal.names:
        return not listed or view.settings.synchronous_mode_strict
    there = frozenset(listed) == frozenset(names.names) == goal.names
    return there and names.count == goal.count and quorum == len(goal.names) - goal.count


def relied_on(view: View) -> bool:
    """Whether commits wait for this standby, which has told that it is about to stop. The primary is given a moment to
    rely on others; not more, since it may be alone or may not hear."""
    since, listed = view.memory.leaving_since, view.sync.leader is not None and view.me.name in view.sync.standbys
    heard = view.api_ok and view.lock.leader not in (None, view.me.name)
    return listed and heard and since is not None and view.now - since < LEAVE_S


def _towards(view: View, goal: Goal, in_force: SyncNames) -> tuple[Action, ...]:
    listed, quorum = _listed(view)
    state = state_of(Promise(frozenset(listed), quorum), in_force, sure(view))
    if not goal.names and view.settings.synchronous_mode_strict and not state.breached:
        # Whoever is named stays named: commits wait until one of them is back.
        return () if in_force.names or in_force.blocks else (SetSyncNames(BLOCKED),)
    match next_step(state, goal):
        case Promise(voters, needed):
            return (WriteSync(view.me.name, tuple(sorted(voters)), view.sync.version, needed),)
        case Goal(_, count) as names:
            return (SetSyncNames(_spelled(view, names.sync_names, count)),)
    spelled = _spelled(view, in_force.names, in_force.count)
    return (SetSyncNames(spelled),) if in_force.names and spelled != in_force else ()


def _again(view: View) -> WriteSync:
    """The object as it is read, in an answered write; nobody listed when it was another leader's."""
    listed, quorum = _listed(view)
    return WriteSync(view.me.name, listed, view.sync.version, quorum)


def _unsure(view: View) -> bool:
    """Whether the object may be another than is read: a write without an answer may have landed, or what is read is not
    what the last answered write made. A listing that an API server behind the others gave shows an object of long ago,
    and whoever was listed since could be promoted by it; so nothing is loosened on it before a write has succeeded."""
    written = view.memory.sync_written
    return written is None or written != view.sync.version


def _anothers(view: View) -> bool:
    """Whether the object is another leader's."""
    return view.sync.leader not in (None, view.me.name)


def _listed(view: View) -> tuple[tuple[str, ...], int]:
    """This member's own voters, and their quorum."""
    return (view.sync.standbys, view.sync.quorum) if view.sync.leader == view.me.name else ((), 0)


def _spelled(view: View, names: tuple[str, ...], count: int) -> SyncNames:
    if view.settings.quorum or count < len(names):
        return any_of(count, names)
    return every(names)
