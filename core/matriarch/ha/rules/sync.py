"""Priority synchronous mode, from the primary's side (rule 3).

The invariant: a member that the sync object lists acknowledges every commit. So a name enters
synchronous_standby_names first and the object only once the standby has caught up; it leaves the object first and
synchronous_standby_names afterwards. Every object write is a compare-and-swap; losing one ends the step.
"""

from __future__ import annotations

from matriarch.ha.actions import Action, Promote, Renew, SetSyncNames, StartPrimary, WriteSync
from matriarch.ha.view import Standby, View


def before_promotion(view: View) -> tuple[Action, ...]:
    """Make the sync object say that nobody but this member may be promoted, before it commits anything of its own."""
    if not view.settings.synchronous:
        return disable(view)
    if view.sync.leader == view.me.name and not view.sync.standbys and not view.memory.sync_unsure:
        return ()
    return (WriteSync(view.me.name, (), view.sync.version),)


def promotion(view: View) -> tuple[Action, ...]:
    """Promote, after the sync object says that nobody else may be. Each step is taken only when the one before it
    succeeded, so the taking of the lock may stand before them in one decision: a failover has no time for a look in
    between."""
    return (*before_promotion(view), Promote())


def disable(view: View) -> tuple[Action, ...]:
    """Synchronous mode is off: empty the object, then the setting."""
    steps: list[Action] = []
    if view.sync.leader is not None or (view.memory.sync_unsure and view.sync.version is not None):
        steps.append(WriteSync(None, (), view.sync.version))
    if view.postgres.running and (view.postgres.sync_names or view.postgres.sync_names_strict):
        steps.append(SetSyncNames(()))
    return tuple(steps)


def certain(view: View) -> tuple[Action, ...]:
    """Before a start as primary: make sure who is listed, by a write that is answered. A write of an earlier process
    that is still under way fails after it."""
    if not view.settings.synchronous or not view.memory.sync_unsure:
        return ()
    first: tuple[Action, ...] = (Renew(),) if view.sync.claim is not None else ()
    return (*first, WriteSync(view.me.name, _listed(view), view.sync.version))


def start_primary(view: View) -> StartPrimary:
    """Start with everybody in force who is listed: they have to go on acknowledging."""
    if not view.settings.synchronous:
        return StartPrimary(())
    return StartPrimary(_listed(view), view.settings.synchronous_mode_strict and not _listed(view))


def start_primary_blindly(view: View) -> StartPrimary:
    """The same while the API server cannot be asked: when it is not certain who is listed, nothing is acknowledged."""
    if view.settings.synchronous and view.memory.sync_unsure:
        return StartPrimary((), strict=True)
    return start_primary(view)


def _listed(view: View) -> tuple[str, ...]:
    return view.sync.standbys if view.sync.leader == view.me.name else ()


def step(view: View) -> tuple[Action, ...]:
    """The next safe step towards the wanted set of synchronous standbys; nothing when it is reached.

    An object that carries a claim, or names another leader, means that somebody took this primary for silent. The
    renewal voids their promise, or tells this primary that it has lost; only after it may the object be overridden.
    """
    contested = view.sync.claim is not None or view.sync.leader not in (None, view.me.name)
    first: tuple[Action, ...] = (Renew(),) if contested else ()
    if not view.settings.synchronous:
        steps = disable(view)
        return (*first, *steps) if steps else ()
    me, listed, in_force = view.me.name, view.sync.standbys, view.postgres.sync_names
    if in_force is None:
        return ()
    if view.sync.leader != me:
        return (*first, WriteSync(me, (), view.sync.version))
    if contested or view.memory.sync_unsure:
        # A write that is still under way fails once this one has succeeded: both swap on a version.
        return (*first, WriteSync(me, listed, view.sync.version))
    picked = choose(view)
    if not set(listed) <= set(in_force):
        # The object promises more than Postgres keeps: take the promise back before anything else.
        return (WriteSync(me, tuple(n for n in listed if n in in_force and n in picked), view.sync.version),)
    strict = view.settings.synchronous_mode_strict
    if not picked and strict:
        return () if in_force or view.postgres.sync_names_strict else (SetSyncNames((), strict=True),)
    if not set(listed) <= set(picked):
        return (WriteSync(me, tuple(n for n in listed if n in picked), view.sync.version),)
    if set(in_force) != set(picked) or view.postgres.sync_names_strict:
        return (SetSyncNames(picked),)
    confirmed = tuple(sorted(set(listed) | {n for n in picked if _confirmed(view, n)}))
    if confirmed != tuple(sorted(listed)):
        return (WriteSync(me, confirmed, view.sync.version),)
    return ()


def choose(view: View) -> tuple[str, ...]:
    """The standbys that shall be synchronous: streaming members, those already listed or named first so that nothing
    changes without need; the candidate of a pending switchover before all, so that it may be promoted."""
    rows = [row for row in view.postgres.standbys if _eligible(view, row)]
    wanted = (view.request.candidate or "") if view.request.pending else ""

    named = view.postgres.sync_names or ()

    def order(row: Standby) -> tuple[bool, int, bool, bool, int, str]:
        member = view.member(row.name)
        priority = member.tags.sync_priority if member else 1
        listed, known = row.name in view.sync.standbys, row.name in named
        return (row.name != wanted, -priority, not listed, not known, -(row.flush_lsn or 0), row.name)

    rows.sort(key=order)
    return tuple(sorted(row.name for row in rows[: view.settings.synchronous_node_count]))


def _eligible(view: View, row: Standby) -> bool:
    member = view.member(row.name)
    if member is None or row.name == view.me.name or row.state != "streaming" or row.flush_lsn is None:
        return False
    if member.tags.nosync or member.tags.sync_priority <= 0:
        return False
    most = view.settings.maximum_lag_on_syncnode
    return most <= 0 or view.postgres.lsn is None or view.postgres.lsn - row.flush_lsn <= most


def _confirmed(view: View, name: str) -> bool:
    """The standby has flushed everything that was written before it became synchronous."""
    row = next((row for row in view.postgres.standbys if row.name == name), None)
    if row is None or row.state != "streaming" or row.flush_lsn is None:
        return False
    return row.sync_state in ("sync", "quorum") and row.flush_lsn >= view.postgres.sync_names_lsn
