"""The one question that tells all about a running server, and reading its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matriarch.config.files import UPSTREAM_SETTING
from matriarch.config.synchronous import parse_names
from matriarch.ha.view import Slot, Standby
from matriarch.words.sync_names import SyncNames
from matriarch_agent.postgres.reloading import RECEIVING
from matriarch_agent.postgres.slots import slot_of

_UTC = """'YYYY-MM-DD HH24:MI:SS.US"+00:00"'"""
"""Times are told in UTC, whatever the server's zone is: a change of that would look like another time."""

QUERY = f"""
select json_build_object(
  'recovery', r.recovery,
  'lsn', case when r.recovery then null else pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint end,
  'insert_lsn', case when r.recovery then null else pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint end,
  'flush_lsn', case when r.recovery then null else pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint end,
  'walfile', case when r.recovery then null else pg_walfile_name(pg_current_wal_lsn()) end,
  'received', pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint,
  'replayed', pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint,
  'receiver', (select json_build_object(
      'pid', pid, 'status', status, 'timeline', received_tli, 'end', pg_wal_lsn_diff(latest_end_lsn, '0/0')::bigint,
      'heard', extract(epoch from clock_timestamp() - last_msg_receipt_time)::float8)
    from pg_stat_get_wal_receiver() where pid is not null),
  'startup', (select wait_event from pg_stat_activity where backend_type = 'startup'),
  'replayed_at', case when r.recovery
    then to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', {_UTC}) end,
  'restore_command', current_setting('restore_command'),
  'paused', case when r.recovery then pg_is_wal_replay_paused() else false end,
  'checkpoint_timeline', (select timeline_id from pg_control_checkpoint()),
  'recovery_timeline', (select min_recovery_end_timeline from pg_control_recovery()),
  'standbys', (select coalesce(json_agg(json_build_object(
      'name', application_name, 'state', state, 'sync', sync_state, 'user', usename, 'address', host(client_addr),
      'priority', sync_priority,
      'write', pg_wal_lsn_diff(write_lsn, '0/0')::bigint, 'flush', pg_wal_lsn_diff(flush_lsn, '0/0')::bigint,
      'replay', pg_wal_lsn_diff(replay_lsn, '0/0')::bigint) order by application_name, pid), '[]')
    from pg_stat_replication),
  'slots', (select coalesce(json_agg(to_jsonb(s) || jsonb_build_object('database', d.datname) order by slot_name), '[]')
    from pg_get_replication_slots() s left join pg_database d on d.oid = s.datoid where not temporary),
  'sync', current_setting('synchronous_standby_names'),
  'upstream', current_setting('{UPSTREAM_SETTING}', true),
  'version', current_setting('server_version_num')::int,
  'started', to_char(pg_postmaster_start_time() at time zone 'UTC', {_UTC}),
  'pending', case when $1 then (select coalesce(json_object_agg(name, json_build_array(current_setting(name), coalesce(
      (select setting from pg_file_settings f where lower(f.name) = s.name order by seqno desc limit 1), boot_val))),
    '{{}}') from pg_settings s where pending_restart) else null end
)::text
from (select pg_is_in_recovery() as recovery offset 0) r
"""
"""Its parameter: whether to ask for what waits for a restart, which costs more than all the rest."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The answer. LSNs in bytes."""

    in_recovery: bool
    timeline: int | None
    lsn: int | None
    insert_lsn: int | None
    flush_lsn: int | None
    received_lsn: int | None
    replayed_lsn: int | None
    replayed_at: str | None
    reads_archive: bool
    latest_end_lsn: int | None
    receiver: int | None
    """The WAL receiver's process id."""
    streaming: bool
    at_end: bool
    """A standby's replay waits for WAL that is not here yet: everything on its disk is replayed."""
    replay_paused: bool
    heard_age: float | None
    """Seconds since the last message from upstream: both moments are this machine's. None: nobody knows."""
    upstream: str | None
    server_version: int
    started: str
    standbys: tuple[Standby, ...]
    slots: tuple[Slot, ...]
    sync_names: SyncNames
    pending: Mapping[str, Mapping[str, str]] | None = field(default=None)
    """What waits for a restart, with old and new value as people write them, when it was asked for."""


def read_facts(text: str) -> Facts:
    """Facts from the query's answer."""
    answer = json.loads(text)
    recovery = bool(answer["recovery"])
    receiver = answer["receiver"] or {}
    received, replayed = answer["received"], answer["replayed"]
    known = [lsn for lsn in (received, replayed) if lsn is not None]
    return Facts(
        in_recovery=recovery,
        timeline=_timeline(answer, receiver) if recovery else int(answer["walfile"][:8], 16),
        lsn=max(known, default=None) if recovery else answer["lsn"],
        insert_lsn=answer["insert_lsn"],
        flush_lsn=answer["flush_lsn"],
        received_lsn=received if recovery else None,
        replayed_lsn=replayed if recovery else None,
        replayed_at=answer["replayed_at"],
        reads_archive=recovery and bool(answer["restore_command"]),
        latest_end_lsn=receiver.get("end"),
        receiver=receiver.get("pid"),
        streaming=receiver.get("status") == "streaming",
        at_end=receiver.get("status") == "streaming" or str(answer["startup"]).lower() in RECEIVING.main_loops,
        replay_paused=bool(answer["paused"]),
        heard_age=age_of(receiver.get("heard")),
        upstream=answer["upstream"] or None,
        server_version=int(answer["version"]),
        started=str(answer["started"]),
        standbys=tuple(_standby(row) for row in answer["standbys"]),
        slots=tuple(slot_of(row) for row in answer["slots"]),
        sync_names=parse_names(answer["sync"]),
        pending=None if answer["pending"] is None else _pending(answer["pending"]),
    )


def age_of(seconds: float | None) -> float | None:
    """The age of something, by the wall clock. Below zero the clock was set back since: it may then be of any age, and
    to take it for new would hide a silence for as long as the step was."""
    return None if seconds is None or seconds < 0 else seconds


def _pending(rows: Mapping[str, list[str | None]]) -> dict[str, dict[str, str]]:
    return {name: {"old_value": old or "", "new_value": new or ""} for name, (old, new) in rows.items()}


def _timeline(answer: Mapping[str, Any], receiver: Mapping[str, Any]) -> int | None:
    """A standby's timeline: of the WAL that it receives, else the newest that its control file tells of. None when
    nothing is being received: replay may be past a switch that the control file does not know yet."""
    if receiver.get("status") == "streaming":
        return max(int(receiver["timeline"]), int(answer["checkpoint_timeline"]))
    return None


def _standby(row: Mapping[str, Any]) -> Standby:
    return Standby(
        name=row["name"] or "",
        state=row["state"] or "",
        sync_state=row["sync"] or "",
        write_lsn=row["write"],
        flush_lsn=row["flush"],
        replay_lsn=row["replay"],
        user=row["user"] or "",
        address=row["address"],
        sync_priority=row["priority"],
    )
