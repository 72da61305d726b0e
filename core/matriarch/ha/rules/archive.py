"""Finished WAL of a former primary is offered to the archive before it is lost (after Patroni).

A standby marks the segments that it receives as archived, so the segments that a primary had finished and not archived
when it died are on its disk only; a rewind and a copy remove them, and what is missing then breaks every recovery
across it. The command is the user's own, and may hang: it has a limit, and nobody else's failover waits for it.
"""

from __future__ import annotations

from dataclasses import replace

from matriarch.ha.actions import ArchiveWal, Clone, Decision, Rewind
from matriarch.ha.reasons import Reason
from matriarch.ha.view import View

AGAIN_S = 60.0
"""Seconds after which an archive that refused is tried again."""


def archive_first(view: View, decision: Decision) -> Decision:
    """The decision, with the archive before a step that removes WAL; beside everything else while the member runs as a
    replica, where only a restart point will remove it."""
    if not _unarchived(view):
        return decision
    at = next((place for place, action in enumerate(decision.actions) if isinstance(action, Rewind | Clone)), None)
    tried = view.memory.archive_tried_at
    due = tried is None or view.now - tried > AGAIN_S
    if at is None:
        aside = due and view.activity is None and view.postgres.running and view.postgres.in_recovery is True
        return replace(decision, actions=(*decision.actions, ArchiveWal(aside=True))) if aside else decision
    if due:
        first, facts = (*decision.actions[:at], ArchiveWal()), f"{_files(view)} not archived; {decision.facts}"
        return replace(decision, actions=first, reason=Reason.ARCHIVING, facts=facts)
    lost = f"{decision.facts}; {_files(view)} not archived: {view.memory.archive_complaint}"
    return replace(decision, facts=lost)


def _unarchived(view: View) -> bool:
    """Only the cluster's own WAL goes to its archive."""
    return view.postgres.unarchived > 0 and view.postgres.sysid == view.config.initialize


def _files(view: View) -> str:
    count = view.postgres.unarchived
    return f"{count} finished WAL {'file is' if count == 1 else 'files are'}"
