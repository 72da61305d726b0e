"""Whether local data may stream from the leader (rule 5). Pure; after Patroni's rules.

Two members can both be promoted to the same timeline number when the first dies before anybody saw it. Timeline and
LSN cannot tell their histories apart, and neither can pg_rewind, which compares only those. So a timeline that this
member led itself counts as the cluster's only when the cluster's history names this member for it; and data whose own
history left a timeline somewhere else than the leader's has parted, whatever the numbers say.
"""

from __future__ import annotations

from enum import Enum

from matriarch.ha.view import HistoryEntry, PostgresView, RemoteHistory, View


class Verdict(Enum):
    """Answer to *may this data stream from that leader?*"""

    STREAM = "stream"
    REWIND = "rewind"
    RECLONE = "reclone"
    """Diverged in a way that pg_rewind does not see, since both sides are on the same timeline; or too far behind:
    the leader has no longer the WAL that comes next."""
    UNKNOWN = "unknown"


def judge(local: PostgresView, remote: RemoteHistory, me: str, history: tuple[HistoryEntry, ...] | None) -> Verdict:
    """Compare local data with the leader's history. UNKNOWN when a fact is missing: ask again, do nothing."""
    if _led_unseen(local.led_timeline, remote, me, history):
        return Verdict.RECLONE
    if _parted(local, remote):
        # pg_rewind compares the numbers of the last timelines first, and would find nothing to do.
        timeline = local.timeline or (local.control.timeline if local.control is not None else None)
        return Verdict.RECLONE if timeline == remote.timeline else Verdict.REWIND
    if local.process == "stopped":
        return _judge_stopped(local, remote)
    if local.timeline is None or local.lsn is None:
        return Verdict.UNKNOWN
    if remote.oldest is not None and local.lsn < remote.oldest and not local.streaming:
        return Verdict.RECLONE
    return _judge_position(local.timeline, local.lsn, remote)


def beside_record(view: View) -> str | None:
    """Who led, by the cluster's record, the timeline of the number that this member led on its present data.

    Somebody else's name means that this data is a branch beside the cluster's, whose primary died before it was on
    record. None: nothing of that kind is known.
    """
    led, history = view.postgres.led_timeline, view.config.history or ()
    if led is None or view.postgres.in_recovery is False:
        return None
    entry = next((entry for entry in history if entry.timeline == led - 1), None)
    return entry.leader if entry is not None and entry.leader not in ("", view.me.name) else None


def _led_unseen(led: int | None, remote: RemoteHistory, me: str, history: tuple[HistoryEntry, ...] | None) -> bool:
    """This member led a timeline of its own that bears the same number as one of the leader's."""
    if led is None or led < 2:
        return False
    if led == remote.timeline:
        return True
    known = any(entry.timeline == led - 1 and entry.leader == me for entry in history or ())
    return led in remote.switches and not known


def _parted(local: PostgresView, remote: RemoteHistory) -> bool:
    """Both left a timeline of one number, at different positions."""
    return any(remote.switches.get(timeline, lsn) != lsn for timeline, lsn in local.switches.items())


def _judge_stopped(local: PostgresView, remote: RemoteHistory) -> Verdict:
    control = local.control
    if control is None:
        return Verdict.UNKNOWN
    if control.timeline == remote.timeline:
        return Verdict.RECLONE if control.was_primary else Verdict.STREAM
    if not control.was_primary and local.unproven and control.consistent_at is not None:
        # Its start waits for the WAL up to there, whoever has it. What went past a fork no rewind can mend any more.
        streams = _judge_position(control.timeline, control.consistent_at, remote) is Verdict.STREAM
        return Verdict.STREAM if streams else Verdict.RECLONE
    if control.timeline > remote.timeline:
        return Verdict.REWIND
    if not control.was_primary:
        # A replica's last position is known only once it runs: it starts following nobody and is judged then.
        return Verdict.UNKNOWN
    if not control.clean or control.end_lsn is None:
        return Verdict.REWIND
    return _judge_position(control.timeline, control.end_lsn, remote)


def _judge_position(timeline: int, lsn: int, remote: RemoteHistory) -> Verdict:
    if timeline == remote.timeline:
        return Verdict.STREAM
    left_at = remote.switches.get(timeline)
    if timeline > remote.timeline or left_at is None or lsn > left_at:
        return Verdict.REWIND
    return Verdict.STREAM
