"""Which standbys shall be synchronous: the wish, from what the primary sees. How to get there safely is quorum.py's."""

from __future__ import annotations

from collections.abc import Mapping

from matriarch.ha.quorum import Goal, Names
from matriarch.ha.view import MemberView, Standby, View


def goal_of(view: View) -> Goal:
    """Priority mode: the best so many, and each acknowledges. Quorum mode: all, and any so many acknowledge."""
    names = choose(view)
    return Goal(names, min(view.settings.synchronous_node_count, len(names)))


def choose(view: View) -> Names:
    """The standbys that shall be synchronous: streaming members, those already listed or named first so that nothing
    changes without need; the candidate of a pending switchover before all, so that it may be promoted.

    Who may not be promoted is a last resort: it keeps a second copy, but nobody could take over with it. Quorum mode
    takes such members only to fill up to the count (after Patroni).
    """
    members = {member.name: member for member in view.members}
    rows = _eligible(view, members)
    wanted = (view.due_request.candidate or "") if view.due_request.pending else ""
    named = view.postgres.sync_names.names if view.postgres.sync_names is not None else ()

    def order(row: Standby) -> tuple[bool, bool, int, bool, bool, int, str]:
        tags = members[row.name].tags
        listed, known = row.name in view.sync.standbys, row.name in named
        last = (not listed, not known, -(row.flush_lsn or 0), row.name)
        return (row.name != wanted, not tags.may_lead, -tags.sync_priority, *last)

    rows.sort(key=order)
    count = view.settings.synchronous_node_count
    if view.settings.quorum:
        count = max(count, sum(members[row.name].tags.may_lead for row in rows))
    return frozenset([row.name for row in rows[:count]])


def sure(view: View) -> Names:
    """The standbys that have flushed everything up to where the names in force came into force."""
    return frozenset(row.name for row in view.postgres.standbys if _is_sure(view, row))


def _eligible(view: View, members: Mapping[str, MemberView]) -> list[Standby]:
    rows = [row for row in view.postgres.standbys if row.name != view.me.name and _streams(members.get(row.name), row)]
    most = view.settings.maximum_lag_on_syncnode
    if most <= 0 or not rows:
        return rows
    # Beside others a standby is measured by the best of them: a bulk load keeps all behind the primary alike.
    flushed = [row.flush_lsn or 0 for row in rows]
    end = max(flushed) if len(rows) > 1 else view.postgres.lsn or 0
    return [row for row, lsn in zip(rows, flushed, strict=True) if end - lsn <= most]


def _streams(member: MemberView | None, row: Standby) -> bool:
    if member is None or row.state != "streaming" or row.flush_lsn is None:
        return False
    return not member.tags.nosync and member.tags.sync_priority > 0


def _is_sure(view: View, row: Standby) -> bool:
    if row.state != "streaming" or row.flush_lsn is None or row.flush_lsn < view.postgres.sync_names_lsn:
        return False
    names = view.postgres.sync_names
    # Its walsender has to know, too, that commits wait for it.
    return names is None or row.name not in names.names or row.sync_state in ("sync", "quorum")
