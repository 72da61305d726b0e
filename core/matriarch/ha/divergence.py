"""Whether local data may stream from the leader (rule 5). Pure; after patroni.md §3.18.

Two members can both be promoted to the same timeline number when the first dies before anybody saw it. Timeline and
LSN cannot tell their histories apart, so a member that was primary on the leader's own timeline always counts as
diverged.
"""

from __future__ import annotations

from enum import Enum

from matriarch.ha.view import PostgresView, RemoteHistory


class Verdict(Enum):
    """Answer to *may this data stream from that leader?*"""

    STREAM = "stream"
    REWIND = "rewind"
    RECLONE = "reclone"
    """Diverged in a way that pg_rewind does not see: both sides are on the same timeline."""
    UNKNOWN = "unknown"


def judge(local: PostgresView, remote: RemoteHistory) -> Verdict:
    """Compare local data with the leader's history. UNKNOWN when a fact is missing: ask again, do nothing."""
    if local.process == "stopped":
        return _judge_stopped(local, remote)
    if local.timeline is None or local.lsn is None:
        return Verdict.UNKNOWN
    if local.led_timeline is not None and local.led_timeline == local.timeline == remote.timeline:
        return Verdict.RECLONE
    return _judge_position(local.timeline, local.lsn, remote)


def _judge_stopped(local: PostgresView, remote: RemoteHistory) -> Verdict:
    control = local.control
    if control is None:
        return Verdict.UNKNOWN
    if control.timeline == remote.timeline:
        led = control.was_primary or local.led_timeline == control.timeline
        return Verdict.RECLONE if led else Verdict.STREAM
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
