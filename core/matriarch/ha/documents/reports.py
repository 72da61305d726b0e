"""The JSON that the REST API serves (after Patroni). Keys in the order in which Patroni emits them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from matriarch.ha.divergence import beside_record
from matriarch.ha.documents.facts import CAPABILITIES, PATRONI_VERSION, VERSION, Facts
from matriarch.ha.documents.health import is_quorum_standby, is_sync_standby
from matriarch.ha.documents.members import member_from_status
from matriarch.ha.documents.status import pending_reason, status_document
from matriarch.ha.documents.vocabulary import role_of, state_of
from matriarch.ha.documents.wire import Document, decode_object, lsn_of, text_of
from matriarch.ha.rules.fence import never_used
from matriarch.ha.tags import tags_document
from matriarch.ha.view import HistoryEntry, MemberView, PostgresView, Request, Standby, View
from matriarch.words.lsn import format_lsn
from matriarch.words.names import POSTGRES_PORT


def patroni_document(facts: Facts, asked_at: float | None = None) -> Document:
    """`GET /patroni`, and the body of every health check that is asked by GET. `asked_at`: when the question came, on
    the member's clock; a position that was looked up before it is of no use to a candidate that counts votes."""
    identity = {"version": PATRONI_VERSION, "scope": facts.me.cluster, "name": facts.me.name}
    view = facts.view
    if view is None:
        return {
            "state": "unknown",
            "role": "replica",
            "cluster_unlocked": True,
            "dcs_last_seen": facts.last_seen,
            "patroni": identity,
        }
    document: Document = {"state": state_of(view), "role": role_of(view), **_server(view.postgres)}
    if is_sync_standby(facts):
        document["sync_standby"] = True
    if is_quorum_standby(facts):
        document["quorum_standby"] = True
    document.update(_replication(view.postgres))
    if view.settings.pause:
        document["pause"] = True
    if view.lock.leader is None:
        document["cluster_unlocked"] = True
    if facts.failsafe_active:
        document["failsafe_mode_is_active"] = True
    document["dcs_last_seen"] = facts.last_seen
    tags = tags_document(facts.me.tags)
    if tags:
        document["tags"] = tags
    sysid = view.postgres.sysid or (view.postgres.control.sysid if view.postgres.control is not None else None)
    if sysid:
        document["database_system_identifier"] = sysid
    if view.postgres.pending_restart:
        document["pending_restart"] = True
        document["pending_restart_reason"] = pending_reason(view)
    document["patroni"] = identity
    if view.memory.scheduled_restart is not None:
        document["scheduled_restart"] = view.memory.scheduled_restart.document()
    document["matriarch"] = _ours(view, asked_at)
    return document


def _ours(view: View, asked_at: float | None) -> Document:
    """What only our own members tell and read."""
    document: Document = {
        "version": VERSION,
        "capabilities": list(CAPABILITIES),
        "data": "empty" if never_used(view) else view.postgres.data,
        "activity": view.activity.name if view.activity is not None else None,
        "heard_age": view.postgres.heard_age,
        "position_certain": _is_certain(view.postgres, asked_at),
        "promised": view.promise_kept,
        "unfit": view.postgres.unfit,
    }
    if beside_record(view) is not None:
        document |= {"beside_record": True, "unfit": "its data is a branch beside the cluster's timeline"}
    if view.just_handed_over:
        document["handed_over"] = True
    return document


def _is_certain(postgres: PostgresView, asked_at: float | None) -> bool:
    return postgres.replayed_all and asked_at is not None and postgres.observed_at >= asked_at


def _server(postgres: PostgresView) -> Document:
    """What only a server that answers can tell. Without a known position there is no `xlog`, and a peer without `xlog`
    is not a candidate in anybody's race."""
    if not postgres.running or postgres.in_recovery is None:
        return {}
    document: Document = {}
    if postgres.postmaster_start_time:
        document["postmaster_start_time"] = postgres.postmaster_start_time
    if postgres.server_version is not None:
        document["server_version"] = postgres.server_version
    if not postgres.in_recovery:
        if postgres.lsn is not None:
            document["xlog"] = {"location": postgres.lsn}
    elif postgres.received_lsn is not None or postgres.replayed_lsn is not None:
        replayed = postgres.replayed_lsn or 0
        received = replayed if postgres.received_lsn is None else postgres.received_lsn
        document["xlog"] = {
            "received_location": received,
            "replayed_location": replayed,
            "replayed_timestamp": postgres.replayed_at,
            "paused": postgres.replay_paused,
        }
    return document


def _replication(postgres: PostgresView) -> Document:
    document: Document = {}
    if postgres.timeline is not None:
        document["timeline"] = postgres.timeline
    if postgres.replication_state is not None:
        document["replication_state"] = postgres.replication_state
    if postgres.standbys:
        document["replication"] = [_sender(standby) for standby in postgres.standbys]
    return document


def _sender(standby: Standby) -> Document:
    return {
        "usename": standby.user,
        "application_name": standby.name,
        "client_addr": standby.address,
        "state": standby.state,
        "sync_state": standby.sync_state,
        "sync_priority": standby.sync_priority,
    }


def cluster_document(facts: Facts) -> Document:
    """`GET /cluster`: all members as this one knows them; nobody before the first look."""
    view = facts.view
    if view is None:
        return {"members": [], "scope": facts.me.cluster}
    document: Document = {
        "members": [_member(view, member, facts) for member in sorted(view.members, key=lambda member: member.name)]
    }
    if view.settings.pause:
        document["pause"] = True
    planned = scheduled_switchover(view.request)
    if planned:
        document["scheduled_switchover"] = planned
    document["scope"] = facts.me.cluster
    return document


def scheduled_switchover(request: Request) -> Document | None:
    """When, from whom and to whom; None when nothing is scheduled."""
    at = iso_time(request.scheduled_at) if request.pending else None
    if at is None:
        return None
    document: Document = {"at": at}
    if request.leader is not None:
        document["from"] = request.leader
    if request.candidate is not None:
        document["to"] = request.candidate
    return document


def iso_time(seconds: float | None) -> str | None:
    """ISO-8601 in UTC for epoch seconds; None when there is no such time."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def cluster_role(view: View, member: MemberView) -> str:
    """A member's role as listings show it: by lock and sync object, not by its own word."""
    if member.name == view.lock.leader:
        return "leader" if view.settings.standby_cluster is None else "standby_leader"
    listed = view.sync.leader is not None and member.name.lower() in (name.lower() for name in view.sync.standbys)
    if listed:
        return "quorum_standby" if view.settings.synchronous_mode == "quorum" else "sync_standby"
    return "replica"


def _member(view: View, member: MemberView, facts: Facts) -> Document:
    mine = member.name == view.me.name
    status: Mapping[str, Any] = status_document(view) if mine else facts.statuses.get(member.name, {})
    if mine:
        member = member_from_status(member.name, status, member.pod_ip)
    role = cluster_role(view, member)
    host, port = _address(member)
    document: Document = {
        "name": member.name,
        "role": role,
        "state": member.state if role == "leader" else text_of(status, "replication_state") or member.state,
        "api_url": member.api_url,
        "host": host,
        "port": port,
        # Patroni leaves an unknown timeline out, and monitoring that subscripts it falls over: 0 is nobody's timeline.
        "timeline": member.timeline or 0,
    }
    for key in ("pending_restart", "pending_restart_reason", "scheduled_restart", "tags"):
        if status.get(key):
            document[key] = status[key]
    if role != "leader":
        document.update(_lags(view, status, member))
    return document


def _address(member: MemberView) -> tuple[str | None, int]:
    try:
        parts = urlsplit(member.conn_url or "")
        return parts.hostname or member.pod_ip, parts.port or POSTGRES_PORT
    except ValueError:
        return member.pod_ip, POSTGRES_PORT


def _lags(view: View, status: Mapping[str, Any], member: MemberView) -> Document:
    document: Document = {}
    positions = (
        ("receive_lag", "receive_lsn", lsn_of(status, "receive_lsn")),
        ("replay_lag", "replay_lsn", lsn_of(status, "replay_lsn")),
        ("lag", "lsn", member.lsn),
    )
    for lag_key, lsn_key, lsn in positions:
        known = lsn is not None and view.lock.optime is not None
        document[lag_key] = max(0, (view.lock.optime or 0) - (lsn or 0)) if known else "unknown"
        document[lsn_key] = format_lsn(lsn) if lsn is not None else "unknown"
    return document


def history_document(facts: Facts) -> list[list[Any]]:
    """`GET /history`: one row for each past timeline; empty when there is none."""
    history = facts.view.config.history if facts.view is not None else None
    return [history_row(entry) for entry in history or ()]


def history_row(entry: HistoryEntry) -> list[Any]:
    """One row as the `history` annotation has it; columns that nobody knows are left out at the end."""
    row: list[Any] = [entry.timeline, entry.lsn, entry.reason, entry.timestamp, entry.leader]
    while len(row) > 3 and not row[-1]:
        row.pop()
    return row


def config_text(text: str | None) -> str | None:
    """`GET /config`: the annotation as it stands, since readers hash it; None when there is no usable document."""
    return text if decode_object(text) is not None else None


def failsafe_document(facts: Facts) -> Document | None:
    """`GET /failsafe`: who must agree when the API server cannot be reached; None when nobody was written down."""
    topology = facts.view.lock.failsafe if facts.view is not None else None
    return dict(topology) if topology is not None else None
