"""Health checks and probes: every path, in every role that matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.document_cases import (
    NOW,
    PRIMARY_LSN,
    REPLICA_LSN,
    facts_of,
    me,
    primary_postgres,
    replica_postgres,
    view_of,
)

from matriarch.ha.documents import Facts, health, liveness, parse_size, readiness
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Failsafe, LockView, SyncView, Tags

LEADER = facts_of(view_of())
SYNC = facts_of(view_of("demo-1"))
ASYNC = facts_of(view_of("demo-2"))
QUORUM = facts_of(view_of("demo-1", settings=ClusterSettings(synchronous_mode="quorum")))
STOPPED = facts_of(view_of("demo-2", postgres=replica_postgres(process="stopped")))
UNLEASED = facts_of(view_of(lease_until=None))
STARTED = replace(LEADER, view=None, lease_until=None, api_seen_at=None)

# path: (leader, sync replica, async replica, quorum replica, stopped replica, primary without a lease)
TABLE = {
    "/": (200, 503, 503, 503, 503, 503),
    "/primary": (200, 503, 503, 503, 503, 503),
    "/master": (200, 503, 503, 503, 503, 503),
    "/read-write": (200, 503, 503, 503, 503, 503),
    "/leader": (200, 503, 503, 503, 503, 503),
    "/standby-leader": (503, 503, 503, 503, 503, 503),
    "/standby_leader": (503, 503, 503, 503, 503, 503),
    "/replica": (503, 200, 200, 200, 503, 503),
    "/read-only": (200, 200, 200, 200, 503, 503),
    "/health": (200, 200, 200, 200, 503, 200),
    "/sync": (503, 200, 503, 503, 503, 503),
    "/synchronous": (503, 200, 503, 503, 503, 503),
    "/quorum": (503, 503, 503, 200, 503, 503),
    "/async": (503, 503, 200, 503, 503, 503),
    "/asynchronous": (503, 503, 200, 503, 503, 503),
    "/read-only-sync": (200, 200, 503, 503, 503, 503),
    "/read-only-synchronous": (200, 200, 503, 503, 503, 503),
    "/read-only-quorum": (200, 503, 503, 200, 503, 503),
    "/anything/primary/below": (200, 503, 503, 503, 503, 503),
    "/sync/": (503, 503, 503, 503, 503, 503),
    "/patroni": (503, 503, 503, 503, 503, 503),
    "/nothing": (503, 503, 503, 503, 503, 503),
}


@pytest.mark.parametrize("path", TABLE)
def test_every_path_in_every_role(path: str) -> None:
    cases = (LEADER, SYNC, ASYNC, QUORUM, STOPPED, UNLEASED)
    assert tuple(health(path, {}, facts) for facts in cases) == TABLE[path]


@pytest.mark.parametrize("path", TABLE)
def test_before_the_first_look_nothing_is_good(path: str) -> None:
    assert health(path, {}, STARTED) == 503


def test_the_lease_is_judged_at_the_moment_of_the_question() -> None:
    assert health("/primary", {}, replace(LEADER, now=NOW + 7.9)) == 200
    assert health("/primary", {}, replace(LEADER, now=NOW + 8.0)) == 503


def test_paused_and_without_the_api_the_role_decides() -> None:
    view = view_of(lease_until=None, settings=ClusterSettings(pause=True))
    assert health("/primary", {}, facts_of(view, api_seen_at=NOW - 60)) == 200
    assert health("/primary", {}, facts_of(view)) == 503
    replica = view_of("demo-1", settings=ClusterSettings(pause=True))
    assert health("/primary", {}, facts_of(replica, api_seen_at=NOW - 60)) == 503


def test_the_role_in_replication_needs_fresh_knowledge_of_the_cluster() -> None:
    old = replace(SYNC, api_seen_at=NOW - 60)
    assert [health(path, {}, old) for path in ("/sync", "/async", "/read-only-sync")] == [503, 503, 503]
    assert health("/replica", {}, old) == 200


@pytest.mark.parametrize(
    ("lag", "status"),
    [("0", 503), ("272", 200), ("271", 503), ("1kB", 200), ("16MB", 200), ("nonsense", 200), ("-1", 200), ("", 200)],
)
def test_lag_counts_from_the_leaders_position_to_what_is_replayed(lag: str, status: int) -> None:
    assert PRIMARY_LSN - (REPLICA_LSN - 16) == 272
    assert health("/replica", {"lag": lag}, ASYNC) == status


def test_lag_is_seen_in_the_stream_when_the_lock_is_older() -> None:
    view = view_of("demo-2", lock=LockView(holder="demo-0"), postgres=replica_postgres(latest_end_lsn=PRIMARY_LSN))
    assert health("/replica", {"lag": "100"}, facts_of(view)) == 503


def test_an_unknown_own_position_is_all_the_way_behind() -> None:
    view = view_of("demo-2", postgres=replica_postgres(replayed_lsn=None))
    assert health("/replica", {"lag": "1MB"}, facts_of(view)) == 503


def test_noloadbalance_takes_a_replica_out_but_not_its_health() -> None:
    facts = _tagged(Tags(noloadbalance=True))
    assert health("/replica", {}, facts) == 503
    assert health("/read-only", {}, facts) == 503
    assert health("/health", {}, facts) == 200


def _tagged(tags: Tags, name: str = "demo-2") -> Facts:
    return facts_of(view_of(name, me=replace(me(name), tags=tags)))


def test_tags_filter_the_replicas_and_never_the_primary() -> None:
    facts = _tagged(Tags(clonefrom=True))
    assert health("/replica", {"tag_clonefrom": "true"}, facts) == 200
    assert health("/replica", {"tag_clonefrom": "false"}, facts) == 503
    assert health("/replica", {"tag_zone": "a"}, facts) == 503
    assert health("/primary", {"tag_zone": "a"}, LEADER) == 200
    assert health("/health", {"tag_zone": "a"}, LEADER) == 503
    own = _tagged(Tags(custom=(("ssd", True), ("zone", "a"))))
    assert health("/replica", {"tag_zone": "a", "tag_ssd": "true"}, own) == 200
    assert health("/replica", {"tag_zone": "b"}, own) == 503


def test_the_replication_state_can_be_asked_for() -> None:
    assert health("/replica", {"replication_state": "streaming"}, ASYNC) == 200
    still = facts_of(view_of("demo-2", postgres=replica_postgres(streaming=False)))
    assert health("/replica", {"replication_state": "streaming"}, still) == 503


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16777216", 16777216),
        ("16MB", 16 << 20),
        (" 1 GB ", 1 << 30),
        ("1.5kB", 1536),
        ("2TB", 2 << 40),
        ("7B", 7),
        ("1mb", None),
        ("1e3", None),
        ("", None),
        ("٣", None),
        ("9" * 40, None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert parse_size(text) == size


def test_liveness_allows_a_ttl_for_a_primary_and_two_for_others() -> None:
    # due 3 s after the last look, then 9 s or 18 s of patience
    assert [liveness(replace(LEADER, now=NOW + s)) for s in (11.9, 12.0)] == [200, 503]
    assert [liveness(replace(SYNC, now=NOW + s)) for s in (20.9, 21.0)] == [200, 503]
    assert [liveness(replace(STARTED, now=NOW + s)) for s in (20.9, 21.0)] == [200, 503]
    paused = facts_of(view_of(settings=ClusterSettings(pause=True)), now=NOW + 999)
    assert liveness(paused) == 200


@pytest.mark.parametrize(
    ("changes", "query", "status"),
    [
        ({}, {}, 200),
        ({"postgres": replica_postgres(streaming=False)}, {}, 503),
        ({"postgres": replica_postgres(process="starting")}, {}, 503),
        ({}, {"lag": "271"}, 503),
        ({}, {"lag": "272"}, 200),
        ({}, {"lag": "256", "mode": "write"}, 200),
        ({}, {"lag": "256", "mode": "apply"}, 503),
        ({"lock": LockView(holder="demo-0", optime=PRIMARY_LSN + 2**21)}, {}, 503),
    ],
)
def test_readiness_of_a_replica(changes: dict[str, Any], query: dict[str, str], status: int) -> None:
    assert readiness(query, facts_of(view_of("demo-2", **changes))) == status


def test_readiness_of_the_leader_and_before_the_first_look() -> None:
    assert readiness({}, LEADER) == 200
    assert readiness({}, facts_of(view_of(postgres=primary_postgres(process="starting")))) == 200
    assert readiness({}, UNLEASED) == 503
    assert readiness({}, STARTED) == 503


def test_readiness_without_any_word_from_the_cluster_needs_failsafe() -> None:
    blind = replica_postgres(latest_end_lsn=None)
    old = {"api_seen_at": NOW - 60}
    assert readiness({}, facts_of(view_of("demo-2", postgres=blind), **old)) == 503
    carried = view_of("demo-2", postgres=blind, failsafe=Failsafe(leader="demo-0", heard_at=NOW - 2))
    assert readiness({}, facts_of(carried, **old)) == 200


def test_case_does_not_matter_in_the_sync_object() -> None:
    view = view_of("demo-1", sync=SyncView(leader="demo-0", standbys=("DEMO-1",)))
    assert health("/sync", {}, facts_of(view)) == 200
    assert health("/sync", {}, facts_of(view_of("demo-1", sync=SyncView(standbys=("demo-1",))))) == 503
