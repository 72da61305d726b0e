"""Patroni's metrics, name for name, in Prometheus' text format.

All are gauges, where Patroni calls positions counters: a position goes back when data is rewound or copied anew, and
the counters that Prometheus' own linter accepts have names that end in `_total`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from matriarch.ha.documents.facts import PATRONI_VERSION, Facts
from matriarch.ha.documents.health import is_quorum_standby, is_sync_standby
from matriarch.ha.documents.vocabulary import STATES, role_of, state_of
from matriarch.ha.view import PostgresView, View


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one member. LSNs are in bytes, times in epoch seconds, flags 0 or 1."""

    name: str
    help: str
    value: float
    note: str = ""
    """One more comment line before the sample."""


def patroni_samples(facts: Facts) -> tuple[Sample, ...]:
    """All samples of a member. What is unknown is 0, as dashboards expect (the state is -1)."""
    version = "".join(f"{int(part):02d}" for part in PATRONI_VERSION.split("."))
    own = Sample("patroni_version", "Patroni version whose interface this member serves.", int(version))
    if facts.view is None:
        return (own, *_unknown(facts))
    view = facts.view
    return (own, *_roles(view, facts), *_positions(view.postgres), *_server(view), *_cluster(view, facts))


def _unknown(facts: Facts) -> Iterator[Sample]:
    yield Sample("patroni_postgres_running", "Whether Postgres runs.", 0)
    yield Sample("patroni_dcs_last_seen", "When the API server was last heard.", facts.last_seen)
    yield _state(-1)


def _roles(view: View, facts: Facts) -> Iterator[Sample]:
    role = role_of(view)
    yield Sample("patroni_postgres_running", "Whether Postgres runs.", state_of(view) == "running")
    started = epoch_of(view.postgres.postmaster_start_time)
    yield Sample("patroni_postmaster_start_time", "When Postgres started.", started)
    yield Sample("patroni_primary", "Whether Postgres is a primary.", role == "primary")
    yield Sample("patroni_standby_leader", "Whether this member leads a standby cluster.", role == "standby_leader")
    yield Sample("patroni_replica", "Whether Postgres is a replica.", role == "replica")
    yield Sample("patroni_sync_standby", "Whether this is a synchronous standby.", is_sync_standby(facts))
    yield Sample("patroni_quorum_standby", "Whether this is a quorum standby.", is_quorum_standby(facts))


def _positions(postgres: PostgresView) -> Iterator[Sample]:
    primary = postgres.running and postgres.in_recovery is False
    replica = postgres.running and postgres.in_recovery is True
    location = postgres.lsn if primary else None
    received = postgres.received_lsn if replica else None
    replayed = postgres.replayed_lsn if replica else None
    yield Sample("patroni_xlog_location", "Write position of the primary.", location or 0)
    received_help = "Position that the replica has received."
    yield Sample("patroni_xlog_received_location", received_help, received or replayed or 0)
    yield Sample("patroni_xlog_replayed_location", "Position that the replica has replayed.", replayed or 0)
    committed = epoch_of(postgres.replayed_at) if replica else 0
    yield Sample("patroni_xlog_replayed_timestamp", "Commit time of the last replayed transaction.", committed)
    yield Sample("patroni_xlog_paused", "Whether replay is paused.", replica and postgres.replay_paused)


def _server(view: View) -> Iterator[Sample]:
    postgres = view.postgres
    if postgres.server_version is not None:
        streaming, archive = (postgres.replication_state == state for state in ("streaming", "in archive recovery"))
        yield Sample("patroni_postgres_streaming", "Whether the replica streams.", streaming)
        yield Sample("patroni_postgres_in_archive_recovery", "Whether the replica reads the archive.", archive)
    yield Sample("patroni_postgres_server_version", "Version of the running Postgres.", postgres.server_version or 0)
    yield Sample("patroni_postgres_timeline", "Timeline of the running Postgres.", postgres.timeline or 0)
    yield Sample("patroni_pending_restart", "Whether a parameter waits for a restart.", bool(postgres.pending_restart))
    state = state_of(view)
    yield _state(STATES.index(state) if state in STATES else -1)


def _state(index: int) -> Sample:
    values = ", ".join(f"{number}={state}" for number, state in enumerate(STATES))
    return Sample("patroni_postgres_state", "State of Postgres.", index, note=f"Values: {values}, -1=unknown")


def _cluster(view: View, facts: Facts) -> Iterator[Sample]:
    tags = facts.me.tags
    in_topology = facts.me.name in (view.lock.failsafe or {})
    yield Sample("patroni_cluster_unlocked", "Whether nobody holds the lock.", view.lock.leader is None)
    yield Sample("patroni_failsafe_mode_is_active", "Whether failsafe mode is in use.", facts.failsafe_active)
    yield Sample("patroni_failsafe_mode_enabled", "Whether failsafe mode is on.", view.settings.failsafe_mode)
    yield Sample("patroni_failsafe_member", "Whether failsafe mode asks this member.", in_topology)
    yield Sample("patroni_dcs_last_seen", "When the API server was last heard.", facts.last_seen)
    yield Sample("patroni_is_paused", "Whether automatic failover is paused.", view.settings.pause)
    priority = 0 if tags.nofailover else max(0, tags.failover_priority)
    yield Sample("patroni_failover_priority", "Preference among equally advanced members.", priority)


def epoch_of(text: str | None) -> float:
    """UTC epoch seconds of an ISO-like time with a zone; 0 when it is unknown."""
    if not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return moment.timestamp() if moment.tzinfo is not None else 0.0


def render(samples: tuple[Sample, ...], scope: str, name: str) -> str:
    """Prometheus' text format; every sample labelled with the cluster and the member."""
    labels = f'{{scope="{_escape(scope)}",name="{_escape(name)}"}}'
    lines: list[str] = []
    for sample in samples:
        lines.append(f"# HELP {sample.name} {sample.help}")
        lines.append(f"# TYPE {sample.name} gauge")
        if sample.note:
            lines.append(f"# {sample.note}")
        lines.append(f"{sample.name}{labels} {_number(sample.value)}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Integers exactly: a float would round an LSN beyond 2^53."""
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
