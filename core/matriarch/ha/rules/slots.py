"""Which replication slots a member keeps, moves on and drops (after Patroni, with more patience).

Every member that may lead keeps a slot for every other member, so that after a failover the new primary still has the
WAL that each of them needs, the former primary included. On a replica nobody streams through those slots: they follow
the positions that the leader writes into the lock's `slots`. A member that is gone keeps its slot for
`member_slots_ttl`, counted by each member from when it itself saw the pod gone.

On a primary only what is ours is dropped: members' slots, and permanent ones that the lock's `slots` named while the
settings asked for them. What people made by hand stays. On a replica any slot that nobody accounts for is left from
former times, and would hold WAL back for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matriarch.ha.actions import CreateLogicalSlots, SyncSlots
from matriarch.ha.postgres_slots import Slot
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.slots import PermanentSlot, is_members
from matriarch.ha.view import MemberView, PostgresView, View
from matriarch.words.names import slot_name

LOGICAL_FROM = 170000
"""The server version from which standbys copy logical slots by themselves."""
WAL_LEVEL = "wal_level"
LOGICAL_AGAIN_S = 10.0
"""Seconds after a logical slot could not be made, before it is tried again."""


def keep(view: View) -> tuple[SyncSlots, ...]:
    """The one step that brings the physical slots in order; none when they are."""
    if view.postgres.slots is None:
        return ()
    have = {slot.name: slot for slot in view.postgres.slots}
    want = wanted(view)
    broken = () if view.settings.pause else tuple(name for name in want if name in have and _broken(view, have[name]))
    drop = tuple(sorted({*broken, *(() if view.settings.pause else _gone(view, have.values(), want))}))
    advance = _advance(view, [have[name] for name in want if name in have and name not in broken])
    if set(want) <= have.keys() and not drop and not advance:
        return ()
    return (SyncSlots(want, drop, advance),)


def moved(view: View) -> tuple[SyncSlots, ...]:
    """While the API server is away: existing slots follow the positions that the primary tells with its failsafe
    claims, and nothing else changes."""
    if view.postgres.slots is None or view.postgres.in_recovery is not True or not view.claim_binds:
        return ()
    mine = [slot for slot in view.postgres.slots if not slot.logical]
    advance = _advance(view, mine)
    return (SyncSlots((), (), advance),) if advance else ()


def incomplete(view: View) -> bool:
    """Whether some member has no slot here yet, so that it could not stream."""
    have = {slot.name for slot in view.postgres.slots or ()}
    return view.postgres.slots is not None and not set(_members(view)) <= have


def logical(view: View) -> tuple[CreateLogicalSlots, ...]:
    """Permanent logical slots that a primary has to make; standbys copy them by themselves."""
    if view.postgres.slots is None or view.postgres.in_recovery is not False or view.settings.pause:
        return ()
    if (view.postgres.server_version or 0) < LOGICAL_FROM or view.now < view.memory.logical_slots_not_before:
        return ()
    if WAL_LEVEL in view.postgres.pending_restart:
        return ()
    have = {slot.name for slot in view.postgres.slots}
    missing = tuple(one for one in _permanent(view) if one.logical and one.name not in have)
    return (CreateLogicalSlots(missing),) if missing else ()


def wanted(view: View) -> tuple[str, ...]:
    """The physical slots that this member has to have."""
    tags, leads = view.me.tags, view.lock_is_mine
    capable = leads or not tags.nofailover
    if leads or (capable and view.settings.member_slots_ttl > 0):
        names = set(_members(view))
        names |= {name for name in view.lock.retained if is_members(name, view.me.cluster)} if not leads else set()
    else:
        names = {slot_name(member.name) for member in view.peers() if member.tags.replicatefrom == view.me.name}
    if capable:
        names |= {slot.name for slot in _permanent(view) if not slot.logical}
    return tuple(sorted(names - {slot_name(view.me.name)}))


def missing_since(
    before: Mapping[str, float],
    postgres: PostgresView,
    members: Iterable[MemberView],
    settings: ClusterSettings,
    followed_since: float,
    now: float,
) -> dict[str, float]:
    """Since when nobody has accounted for each slot here.

    It counts anew once a member was there, also while Postgres was down and showed no slots, and after a time in which
    this member could not see the pods (`followed_since`): the slot's member may have been there meanwhile.
    """
    if postgres.slots is None:
        claimed = accounted((member.name for member in members), settings)
        return {name: since for name, since in before.items() if name not in claimed}
    return {name: max(before.get(name, now), followed_since) for name in unclaimed(postgres, members, settings)}


def unclaimed(postgres: PostgresView, members: Iterable[MemberView], settings: ClusterSettings) -> set[str]:
    """The slots here that neither a member nor a setting accounts for, nor the server itself."""
    claimed = accounted((member.name for member in members), settings)
    left = [slot for slot in postgres.slots or () if slot.name not in claimed]
    return {slot.name for slot in left if not _copied(postgres, slot) and not settings.slots.ignores(slot)}


def accounted(members: Iterable[str], settings: ClusterSettings) -> set[str]:
    """The slots that these members and the settings account for."""
    return {slot_name(name) for name in members} | settings.slots.permanent.keys()


def positions(view: View) -> dict[str, int]:
    """What a leader writes into the lock's `slots`: from where each slot that is ours needs WAL, its own position under
    its own name, so that others keep a slot for it too."""
    told = {slot.name: slot.restart_lsn for slot in view.postgres.slots or () if not slot.logical}
    told |= {slot.name: slot.confirmed_lsn for slot in view.postgres.slots or () if slot.logical}
    mine = {name: lsn for name, lsn in told.items() if lsn is not None and _ours(view, name)}
    return mine if view.postgres.lsn is None else {**mine, slot_name(view.me.name): view.postgres.lsn}


def retained(view: View) -> tuple[str, ...]:
    """The slots that a leader keeps for members that are gone."""
    present = {slot_name(member.name) for member in view.members}
    names = [slot.name for slot in view.postgres.slots or () if not slot.logical]
    return tuple(sorted(name for name in names if is_members(name, view.me.cluster) and name not in present))


def problems(view: View) -> dict[str, str]:
    """What of the setting `slots` is not in force, and why."""
    found = {f"slots.{name}": why for name, why in view.settings.slots.problems.items()}
    have = {slot.name: slot for slot in view.postgres.slots or ()}
    for slot in _permanent(view):
        why = _problem(view, slot, have.get(slot.name))
        if why is not None:
            found[f"slots.{slot.name}"] = why
    return found


def _problem(view: View, wanted: PermanentSlot, slot: Slot | None) -> str | None:
    version = view.postgres.server_version
    if wanted.logical and version is not None and version < LOGICAL_FROM:
        return "a permanent logical slot needs PostgreSQL 17 or newer"
    if wanted.logical and wanted.name in {slot_name(member.name) for member in view.members}:
        return "the name is that of a member's slot: choose another one"
    if wanted.logical and WAL_LEVEL in view.postgres.pending_restart:
        return f"it waits for a restart of this member, which {WAL_LEVEL} needs"
    if slot is None:
        return None
    if (slot.type, slot.plugin, slot.database) != _form(wanted):
        return f"there is a {slot.type} slot of that name already, made differently: drop it, or rename this one"
    if slot.logical and slot.lost:
        return "the server has removed WAL that its consumer needs: drop the slot and copy the consumer's data anew"
    if slot.logical and not slot.failover and view.postgres.in_recovery is False:
        return "the slot was made without `failover`, so replicas do not copy it: have its consumer or you make it anew"
    return None


def _form(wanted: PermanentSlot) -> tuple[str, str | None, str | None]:
    return ("logical" if wanted.logical else "physical", wanted.plugin, wanted.database)


def _members(view: View) -> set[str]:
    return {slot_name(member.name) for member in view.peers()}


def _permanent(view: View) -> tuple[PermanentSlot, ...]:
    """The settings' slots that this kind of cluster has. Logical ones need a primary."""
    kind = "primary" if view.settings.standby_cluster is None else "standby"
    every = view.settings.slots.permanent.values()
    return tuple(s for s in every if s.cluster_type in (None, kind) and (kind == "primary" or not s.logical))


def _ours(view: View, name: str) -> bool:
    """Whether this cluster made a slot: for a member, for a setting, or for a setting of before."""
    return is_members(name, view.me.cluster) or name in view.settings.slots.permanent or name in view.lock.slots


def _broken(view: View, slot: Slot) -> bool:
    """Whether it has to be made anew: useless, or, on a replica, holding old rows on the primary for nobody."""
    if slot.active or slot.logical or view.settings.slots.ignores(slot):
        return False
    return not slot.usable or (slot.holds_rows and view.postgres.in_recovery is True)


def _gone(view: View, have: Iterable[Slot], want: tuple[str, ...]) -> tuple[str, ...]:
    """Slots that nobody needs any more."""
    leads, members = view.postgres.in_recovery is False or view.lock_is_mine, _members(view)
    idle = [s for s in have if not s.active and not _copied(view.postgres, s) and not view.settings.slots.ignores(s)]
    found = []
    for slot in idle:
        if slot.name in want:
            continue
        useless = not leads and (_stale_copy(view, slot) or (slot.name in members and not slot.logical))
        if useless or (_forgotten(view, slot.name) and (not leads or _ours(view, slot.name))):
            found.append(slot.name)
    return tuple(found)


def _copied(postgres: PostgresView, slot: Slot) -> bool:
    """Kept by the server itself. A promoted server's copies still say so, but are its own slots from then on."""
    return slot.synced and postgres.in_recovery is not False


def _stale_copy(view: View, slot: Slot) -> bool:
    """A slot that this member had before, as primary or when the settings asked for a physical one, in the place of a
    permanent logical one: while it is there, the server copies no logical slot of the new primary's, and nobody moves
    it on."""
    wanted = view.settings.slots.permanent.get(slot.name)
    copies = (view.postgres.server_version or 0) >= LOGICAL_FROM and view.postgres.streaming
    return copies and wanted is not None and wanted.logical


def _forgotten(view: View, name: str) -> bool:
    since = view.memory.slots_missing_since.get(name)
    return since is not None and view.now - since > view.settings.member_slots_ttl


def _advance(view: View, slots: Iterable[Slot]) -> tuple[tuple[str, int], ...]:
    """How far each idle slot may move: never past what this server has, never back."""
    known = _known_positions(view)
    here = view.postgres.replayed_lsn if view.postgres.in_recovery else view.postgres.lsn
    if here is None:
        return ()
    found = []
    for slot in slots:
        target = min(known.get(slot.name, 0), here)
        if not slot.active and slot.restart_lsn is not None and target > slot.restart_lsn:
            found.append((slot.name, target))
    return tuple(sorted(found))


def _known_positions(view: View) -> Mapping[str, int]:
    """Where others say that each slot's user stands."""
    known = dict(view.failsafe.slots if view.claim_binds else view.lock.slots)
    if view.lock_is_mine:
        # Its own words of a moment ago; permanent slots move only by who uses them.
        known = {}
    for member in view.peers():
        same = member.timeline is not None and member.timeline == view.postgres.timeline
        if member.streaming and same and member.lsn is not None:
            name = slot_name(member.name)
            known[name] = max(known.get(name, 0), member.lsn)
    return known
