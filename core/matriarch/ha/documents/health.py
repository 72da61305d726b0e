"""Health checks and probes as one pure function (after Patroni).

Paths are matched by substring, in an order, first hit wins: load balancers in the field rely on it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from matriarch.ha.documents.facts import Facts
from matriarch.ha.documents.vocabulary import role_of, state_of
from matriarch.ha.tags import tags_document

Query = Mapping[str, str]

OK = 200
NOT_OK = 503

_SIZE = re.compile(r"\A\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(B|kB|MB|GB|TB)?\s*\Z", re.ASCII)
_UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def parse_size(text: str) -> int | None:
    """Bytes for `16777216`, `16MB` and the like; None for anything else."""
    match = _SIZE.match(text)
    return round(float(match[1]) * _UNITS[match[2] or "B"]) if match else None


def health(path: str, query: Query, facts: Facts) -> int:
    """The status of a health check: 200 or 503. `path` without its query; of a repeated parameter the first value."""
    for applies, check, tagged in _CHECKS:
        if applies(path):
            good = check(query, facts) and (not tagged or _has_tags(query, facts))
            return OK if good else NOT_OK
    return NOT_OK


def liveness(facts: Facts) -> int:
    """Whether the loop still turns: it must have looked within a ttl (two, unless a primary runs) after it was due."""
    if facts.settings.pause:
        return OK
    patience = facts.settings.ttl if _is_running_primary(facts) else 2 * facts.settings.ttl
    due = facts.looked_at + facts.settings.loop_wait
    return OK if due + patience > facts.now else NOT_OK


def readiness(query: Query, facts: Facts) -> int:
    """Ready: leads, or streams and lags no more than `lag` (default: maximum_lag_on_failover)."""
    if _leads(facts):
        return OK
    view = facts.view
    if view is None or state_of(view) != "running" or not view.postgres.streaming:
        return NOT_OK
    if not facts.cluster_known and view.postgres.latest_end_lsn is None:
        return OK if facts.failsafe_active else NOT_OK
    wanted = parse_size(query.get("lag", ""))
    limit = facts.settings.maximum_lag_on_failover if wanted is None else wanted
    position = view.postgres.received_lsn if query.get("mode") == "write" else view.postgres.replayed_lsn
    return NOT_OK if _lag(facts, position) > limit else OK


def is_listed(facts: Facts) -> bool:
    """Whether the sync object names this member as one whose acknowledgement commits wait for."""
    view = facts.view
    if view is None or view.sync.leader is None:
        return False
    return view.me.name.lower() in (name.lower() for name in view.sync.standbys)


def is_sync_standby(facts: Facts) -> bool:
    """Listed, in priority mode."""
    return is_listed(facts) and facts.settings.synchronous_mode != "quorum"


def is_quorum_standby(facts: Facts) -> bool:
    """Listed, in quorum mode."""
    return is_listed(facts) and facts.settings.synchronous_mode == "quorum"


def _leads(facts: Facts) -> bool:
    """The lease decides. Paused and without a view of the cluster, the role does."""
    if facts.leads:
        return True
    return facts.settings.pause and not facts.cluster_known and _is_running_primary(facts)


def _is_running_primary(facts: Facts) -> bool:
    view = facts.view
    return view is not None and state_of(view) == "running" and role_of(view) == "primary"


def _lag(facts: Facts, position: int | None) -> int:
    """Bytes behind the leader's last known position; an unknown own position counts as none at all."""
    view = facts.view
    known = [] if view is None else [view.lock.optime, view.postgres.latest_end_lsn]
    reference = max((lsn for lsn in known if lsn is not None), default=0)
    return max(0, reference - (position or 0))


def _serves_reads(query: Query, facts: Facts) -> bool:
    """The replica condition."""
    view = facts.view
    if view is None or view.me.tags.noloadbalance:
        return False
    if state_of(view) != "running" or role_of(view) != "replica":
        return False
    wanted_state = query.get("replication_state")
    if wanted_state is not None and wanted_state != view.postgres.replication_state:
        return False
    wanted = parse_size(query.get("lag", ""))
    return _lag(facts, view.postgres.replayed_lsn) <= (math.inf if wanted is None else wanted)


def _has_tags(query: Query, facts: Facts) -> bool:
    tags = {name: str(value).lower() for name, value in tags_document(facts.me.tags).items()}
    wanted = {key.removeprefix("tag_"): value for key, value in query.items() if key.startswith("tag_")}
    return all(tags.get(name) == value for name, value in wanted.items())


def _standby_leader(query: Query, facts: Facts) -> bool:
    """Leads a cluster that follows another one."""
    view = facts.view
    return _leads(facts) and view is not None and role_of(view) == "standby_leader"


def _primary(query: Query, facts: Facts) -> bool:
    return _leads(facts) and facts.settings.standby_cluster is None


def _leader(query: Query, facts: Facts) -> bool:
    return _leads(facts)


def _reads(query: Query, facts: Facts) -> bool:
    return _leads(facts) or _serves_reads(query, facts)


def _running(query: Query, facts: Facts) -> bool:
    return facts.view is not None and state_of(facts.view) == "running"


def _sync(query: Query, facts: Facts) -> bool:
    return facts.cluster_known and is_sync_standby(facts) and _serves_reads(query, facts)


def _quorum(query: Query, facts: Facts) -> bool:
    return facts.cluster_known and is_quorum_standby(facts) and _serves_reads(query, facts)


def _asynchronous(query: Query, facts: Facts) -> bool:
    return facts.cluster_known and not is_listed(facts) and _serves_reads(query, facts)


def _reads_sync(query: Query, facts: Facts) -> bool:
    return facts.cluster_known and (_leads(facts) or _sync(query, facts))


def _reads_quorum(query: Query, facts: Facts) -> bool:
    return facts.cluster_known and (_leads(facts) or _quorum(query, facts))


def _having(*parts: str) -> Callable[[str], bool]:
    return lambda path: any(part in path for part in parts)


def _exactly(*paths: str) -> Callable[[str], bool]:
    return lambda path: path in paths


def _primary_path(path: str) -> bool:
    return path == "/" or any(part in path for part in ("master", "primary", "read-write"))


def _read_only_path(path: str) -> bool:
    return "read-only" in path and "sync" not in path and "quorum" not in path


_Check = tuple[Callable[[str], bool], Callable[[Query, Facts], bool], bool]
_CHECKS: tuple[_Check, ...] = (
    # which paths, what must hold, whether tag_* parameters filter as well
    (_having("standby_leader", "standby-leader"), _standby_leader, False),
    (_having("leader"), _leader, False),
    (_primary_path, _primary, False),
    (_having("replica"), _serves_reads, True),
    (_read_only_path, _reads, True),
    (_having("health"), _running, True),
    (_exactly("/sync", "/synchronous"), _sync, True),
    (_exactly("/quorum"), _quorum, True),
    (_exactly("/async", "/asynchronous"), _asynchronous, True),
    (_exactly("/read-only-quorum"), _reads_quorum, True),
    (_exactly("/read-only-sync", "/read-only-synchronous"), _reads_sync, True),
)
