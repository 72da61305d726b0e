"""What queries and pg_controldata would tell about a fake server."""

from __future__ import annotations

from collections.abc import Mapping

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ControlData, HistoryEntry, PostgresView, Slot, Standby
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_stream import Link
from matriarch.testing.fake_postgres_wal import Branch, DataDir

VERSION = 170000


def view_of(
    server: Server,
    now: float,
    answered: bool,
    applied: ClusterSettings | None,
    pending: Mapping[str, Mapping[str, str]],
    failures: int,
    last_error: str,
) -> PostgresView:
    """The view of a server; `answered`: it replied to SQL in time. `failures` and `last_error` are the adapter's."""
    told = {"failures": failures, "data_failures": failures, "last_error": last_error, "observed_at": now}
    if server.volume.full:
        told["disk_free"] = 0
    if not server.volume.readable:
        return PostgresView(data="unknown", process=server.process, **told)  # type: ignore[arg-type]
    data = server.volume.data
    if data is None:
        return PostgresView(data="empty", process="stopped", **told)  # type: ignore[arg-type]
    recovery = server.in_recovery
    common = told | {
        "data": "present",
        "process": server.process,
        "sysid": data.sysid,
        "control": None if data.half_rewound else control_of(data),
        "led_timeline": data.led_timeline,
        "switches": data.branch.switches(),
        "unborn": data.unborn,
        "unproven": data.unproven,
        "unarchived": len(data.ready) if data.led_timeline is not None and recovery is not False else 0,
        "server_version": VERSION,
        "upstream": server.upstream.member if server.upstream is not None and recovery else None,
        "applied": applied,
        "postmaster_start_time": server.started if server.process != "stopped" else None,
    }
    if server.process == "starting":
        common["starting_since"] = now - server.age
    if server.process == "running" and server.unusable_for is not None:
        common["unusable_for"] = server.unusable_for
        common["unusable_why"] = "no answer to a new session"
    if recovery and not (server.process == "running" and answered):
        # There is still the file that makes it a standby.
        common["in_recovery"] = True
    if server.process == "running" and answered:
        newest = server.sync[-1]
        common["in_recovery"] = recovery
        common["timeline"] = data.branch.timeline
        common["sync_names"] = newest
        common["sync_names_lsn"] = server.sync_lsn
        common["sync_names_sure"] = len(server.sync) == 1
        common["pending_restart"] = pending
        common["slots"] = slots_of(server, data)
        if server.links:
            common["standbys"] = tuple(_standby(server, link) for link in server.links.values())
        if recovery:
            _add_positions(server, data, common)
        else:
            common["lsn"] = data.flushed
    return PostgresView(**common)  # type: ignore[arg-type]


def busy_slots(server: Server) -> set[str]:
    """The slots that a standby streams through."""
    return {link.slot for link in server.links.values() if link.sender_open}


def slots_of(server: Server, data: DataDir) -> tuple[Slot, ...]:
    """The rows of pg_replication_slots."""
    busy = busy_slots(server)
    physical = [Slot(name, active=name in busy, restart_lsn=lsn) for name, lsn in data.slots.items()]
    logical = [
        Slot(name, "logical", False, one.lsn, one.lsn, one.database, one.plugin, failover=True, synced=one.synced)
        for name, one in data.logical.items()
    ]
    return tuple(sorted([*physical, *logical], key=lambda slot: slot.name))


def _add_positions(server: Server, data: DataDir, told: dict[str, object]) -> None:
    intake = server.intake
    intake.replay()
    received, replayed = intake.received_lsn, data.replayed
    told["lsn"] = max(received or 0, replayed)
    told["received_lsn"] = received
    told["replayed_lsn"] = replayed
    told["replayed_all"] = True
    link = intake.link
    if link is not None and link.receiver_open:
        told["streaming"] = True
        told["latest_end_lsn"] = received
        told["heard_age"] = link.silent_for


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
        redo_lsn=data.checkpoint,
        consistent_at=data.consistent_at or None,
    )


def _standby(server: Server, link: Link) -> Standby:
    newest = server.sync[-1]
    named = ("quorum" if newest.quorum else "sync") if link.name in newest.names else "async"
    state = "streaming" if link.streaming else "catchup"
    return Standby(link.name, state, named, link.sent, link.flushed, link.replayed)


def history_of(branch: Branch) -> tuple[HistoryEntry, ...]:
    """The timeline history file's entries, oldest first."""
    return tuple(
        HistoryEntry(number, lsn, "no recovery target specified") for number, lsn in sorted(branch.switches().items())
    )
