"""Requests to restart or to rebuild this member (after Patroni)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from matriarch.ha.documents.edits import Refusal
from matriarch.ha.documents.facts import Facts
from matriarch.ha.documents.failover import read_schedule
from matriarch.ha.documents.vocabulary import role_of
from matriarch.ha.documents.wire import object_of, text_of
from matriarch.ha.scheduled import RestartFilters, ScheduledRestart
from matriarch.ha.written import flag

_KEYS = frozenset({"schedule", "role", "postgres_version", "timeout", "restart_pending"})
_FILTER_ROLES = ("primary", "standby_leader", "replica")
_VERSION = re.compile(r"\A([0-9]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,3}))?\Z", re.ASCII)
_TIMEOUT = re.compile(r"\A\s*([0-9]{1,9})\s*(ms|s|min|h|d)?\s*\Z", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class RestartRequest:
    """A restart, now or `scheduled`. `timeout` in seconds; None: the usual one."""

    timeout: float | None = None
    scheduled: ScheduledRestart | None = None


def read_restart_request(body: Mapping[str, Any], facts: Facts) -> RestartRequest | Refusal:
    """The restart that a body asks for, or why it will not happen: 400 and 422 for what makes no sense, 500 for a
    schedule in a paused state, 503 when a filter does not match this member now."""
    if facts.settings.pause and "schedule" in body:
        return Refusal(500, "Can't schedule restart in the paused state")
    unknown = sorted(str(key) for key in body if key not in _KEYS)
    if unknown:
        return Refusal(400, f"Unknown filter for the scheduled restart: {unknown[0][:64]}")
    schedule = read_schedule(body["schedule"], facts.wall, "restart") if "schedule" in body else None
    if isinstance(schedule, Refusal):
        return schedule
    if "role" in body and body["role"] not in _FILTER_ROLES:
        return Refusal(400, "PostgreSQL role should be either primary, standby_leader, or replica")
    version = _version_number(body["postgres_version"]) if "postgres_version" in body else None
    if "postgres_version" in body and version is None:
        return Refusal(400, "PostgreSQL version should be in the first.major.minor format")
    timeout = read_timeout(body["timeout"]) if "timeout" in body else None
    if "timeout" in body and timeout is None:
        return Refusal(400, "Timeout should be a positive number of seconds")
    written = body.get("postgres_version")
    filters = RestartFilters(body.get("role"), version, written, "restart_pending" in body)
    if schedule is None:
        return _check_state(filters, facts) or RestartRequest(timeout)
    started = facts.view.postgres.postmaster_start_time if facts.view is not None else None
    at = datetime.fromisoformat(schedule).timestamp()
    return RestartRequest(timeout, ScheduledRestart(at, schedule, started, filters, timeout))


def _check_state(filters: RestartFilters, facts: Facts) -> Refusal | None:
    view = facts.view
    if view is None:
        return Refusal(503, "restart failed: this member has not looked at its Postgres yet")
    if filters.mismatch(role_of(view), view.postgres.server_version, view.postgres.pending_restart) is not None:
        return Refusal(503, "restart conditions are not satisfied")
    if view.activity is not None:
        return Refusal(503, f"{view.activity.name.lower()} already in progress")
    if view.postgres.process == "starting":
        return Refusal(503, "postgres is still starting")
    return None


def scheduled_restart_from(status: Mapping[str, Any]) -> ScheduledRestart | None:
    """The scheduled restart in a member's own `status` annotation, written by an earlier process of its agent; None
    when there is none, or none that can be read whole: half of a person's wish is not theirs."""
    said = object_of(status, "scheduled_restart")
    try:
        moment = datetime.fromisoformat(text_of(said, "schedule") or "")
        at = moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    unknown = said.keys() - _KEYS - {"postmaster_start_time"}
    role, written, timeout = said.get("role"), said.get("postgres_version"), said.get("timeout")
    version = _version_number(written)
    wrong = (role not in (None, *_FILTER_ROLES), written is not None and version is None)
    if at is None or unknown or any(wrong) or (timeout is not None and read_timeout(timeout) is None):
        return None
    filters = RestartFilters(role, version, written, "restart_pending" in said)
    started = text_of(said, "postmaster_start_time")
    seconds = read_timeout(timeout) if timeout is not None else None
    return ScheduledRestart(at, moment.isoformat(), started, filters, seconds)


def _version_number(value: object) -> int | None:
    """`16.4` is 160004 and `9.6.3` is 90603, as the server counts."""
    match = _VERSION.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    first, second, third = int(match[1]), int(match[2]), int(match[3] or 0)
    return first * 10000 + (second if first >= 10 else second * 100 + third)


def read_timeout(value: object) -> float | None:
    """Seconds for 30, "30" or "5min"; None for what is not a positive time."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    match = _TIMEOUT.match(str(value))
    seconds = int(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    return seconds if seconds > 0 else None


@dataclass(frozen=True, slots=True)
class ReinitializeRequest:
    """A new copy of the data. `force`: break off what is under way. `from_leader`: from nobody but the leader."""

    force: bool = False
    from_leader: bool = False


def read_reinitialize_request(body: Mapping[str, Any], facts: Facts) -> ReinitializeRequest | Refusal:
    """The rebuild that a body asks for, or why it cannot be done now (503)."""
    force = flag(body.get("force"))
    view = facts.view
    leader = view.lock.leader if view is not None else None
    if view is None or leader is None:
        return Refusal(503, "Cluster has no leader, can not reinitialize")
    if leader == facts.me.name or facts.leads:
        return Refusal(503, "I am the leader, can not reinitialize")
    if view.activity is not None and not force:
        return Refusal(503, f"{view.activity.name.lower()} already in progress")
    return ReinitializeRequest(force, flag(body.get("from_leader")))
