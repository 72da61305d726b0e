"""What queries and pg_controldata would tell about a fake server."""

from __future__ import annotations

from collections.abc import Mapping

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ControlData, HistoryEntry, PostgresView, Standby
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_stream import Link
from matriarch.testing.fake_postgres_wal import Branch, DataDir

VERSION = 170000


def view_of(
    server: Server,
    *,
    answered: bool,
    applied: ClusterSettings | None,
    pending: Mapping[str, Mapping[str, str]],
) -> PostgresView:
    """The view of a server; `answered`: it replied to SQL in time."""
    if not server.volume.readable:
        return PostgresView(data="unknown", process=server.process, last_error="the data directory cannot be read")
    data = server.volume.data
    if data is None:
        return PostgresView(data="empty", process="stopped")
    common = {
        "data": "present",
        "process": server.process,
        "sysid": data.sysid,
        "control": None if data.half_rewound else control_of(data),
        "led_timeline": data.led_timeline,
        "switches": data.branch.switches(),
        "unborn": data.unborn,
        "server_version": VERSION,
        "upstream": server.upstream.member if server.upstream is not None and server.in_recovery else None,
        "applied": applied,
        "postmaster_start_time": f"{server.started_at:.6f}" if server.process != "stopped" else None,
    }
    if server.process != "running" or not answered:
        return PostgresView(**common)  # type: ignore[arg-type]
    newest = server.sync[-1]
    return PostgresView(
        **common,  # type: ignore[arg-type]
        **_positions(server, data),  # type: ignore[arg-type]
        in_recovery=server.in_recovery,
        standbys=tuple(_standby(server, link) for link in server.links.values()),
        slots=tuple(sorted(data.slots)),
        sync_names=newest.names,
        sync_names_lsn=server.sync_lsn,
        sync_names_strict=newest.strict and not newest.names,
        pending_restart=pending,
    )


def _positions(server: Server, data: DataDir) -> dict[str, object]:
    if not server.in_recovery:
        return {"timeline": data.branch.timeline, "lsn": data.flushed}
    received, replayed = server.received_lsn, data.replayed
    streaming = server.receiver is not None and server.receiver.receiver_open
    return {
        "timeline": data.branch.timeline,
        "lsn": max(received or 0, replayed),
        "received_lsn": received,
        "replayed_lsn": replayed,
        "latest_end_lsn": received if streaming else None,
        "streaming": streaming,
        "heard_age": server.receiver.silent_for if streaming and server.receiver is not None else None,
    }


def control_of(data: DataDir) -> ControlData:
    """What pg_controldata prints."""
    clean = data.state in ("shut down", "shut down in recovery")
    return ControlData(
        data.state,
        data.sysid,
        data.branch.timeline,
        data.checkpoint,
        data.checkpoint_end if clean else None,
        data.was_primary,
    )


def _standby(server: Server, link: Link) -> Standby:
    named = link.name in server.sync[-1].names
    state = "streaming" if link.streaming else "catchup"
    return Standby(link.name, state, "sync" if named else "async", link.sent, link.flushed, link.replayed)


def history_of(branch: Branch) -> tuple[HistoryEntry, ...]:
    """The timeline history file's entries, oldest first."""
    return tuple(
        HistoryEntry(number, lsn, "no recovery target specified") for number, lsn in sorted(branch.switches().items())
    )
