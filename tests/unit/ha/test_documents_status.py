"""The `status` annotation, the role label and the words in them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from unit.ha.document_cases import (
    PRIMARY_LSN,
    REPLICA_LSN,
    me,
    primary_postgres,
    replica_postgres,
    view_of,
)

from matriarch.ha.documents import member_from_status, role_label, role_of, state_of, status_document
from matriarch.ha.documents.vocabulary import member_labels
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.standby_cluster import StandbyCluster
from matriarch.ha.view import Activity, ControlData, LockView, Memory, PostgresView, Tags

OFF = ControlData(state="shut down in recovery", sysid="7", timeline=1, checkpoint_lsn=1)
CRASHED = ControlData(state="in production", sysid="7", timeline=1, checkpoint_lsn=1, was_primary=True)


def test_a_primary_tells_where_it_is_and_what_it_is() -> None:
    document = status_document(view_of())
    assert document == {
        "conn_url": "postgres://10.0.0.10:5432/postgres",
        "api_url": "http://10.0.0.10:8008/patroni",
        "state": "running",
        "role": "primary",
        "version": "4.1.5",
        "xlog_location": PRIMARY_LSN,
        "timeline": 2,
        "matriarch": document["matriarch"],
    }
    assert document["matriarch"]["capabilities"] == ["takeover", "promise"]


def test_a_replica_tells_both_positions_and_that_it_streams() -> None:
    document = status_document(view_of("demo-1"))
    assert document["role"] == "replica"
    assert document["xlog_location"] == document["receive_lsn"] == REPLICA_LSN
    assert document["replay_lsn"] == REPLICA_LSN - 16
    assert document["replication_state"] == "streaming"


def test_the_checkpoint_after_a_promotion_is_told_until_it_is_done() -> None:
    fresh = view_of(memory=Memory(checkpointed=False))
    assert status_document(fresh)["checkpoint_after_promote"] is False
    assert "checkpoint_after_promote" not in status_document(view_of())
    assert "checkpoint_after_promote" not in status_document(view_of("demo-1", memory=Memory(checkpointed=False)))


def test_pause_tags_and_pending_restarts_appear_when_they_apply() -> None:
    view = view_of("demo-1")
    reason = {"max_connections": {"old_value": "100", "new_value": "200"}}
    view = replace(
        view,
        me=replace(view.me, tags=Tags(nofailover=True, sync_priority=3)),
        settings=replace(view.settings, pause=True),
        postgres=replica_postgres(pending_restart=reason),
    )
    document = status_document(view)
    assert document["pause"] is True
    assert document["tags"] == {"nofailover": True, "sync_priority": 3}
    assert (document["pending_restart"], document["pending_restart_reason"]) == (True, reason)


def test_a_stopped_member_tells_no_position() -> None:
    document = status_document(view_of("demo-1", postgres=replica_postgres(process="stopped", control=OFF)))
    assert document["state"] == "stopped"
    assert not {"xlog_location", "timeline", "replay_lsn", "replication_state"} & set(document)


def test_a_postgres_that_does_not_start_is_told_with_the_reason() -> None:
    """A parameter may be right by itself and still be too much for the machine."""
    postgres = replica_postgres(process="stopped", control=OFF, failures=2, last_error="it ended with status 1" * 50)
    (problem,) = status_document(view_of("demo-1", postgres=postgres))["matriarch"]["problems"]
    assert problem.startswith("Postgres does not start: it ended with status 1")
    assert len(problem) == 300
    well = replica_postgres(last_error="a query failed")
    assert "problems" not in status_document(view_of("demo-1", postgres=well))["matriarch"]


def test_a_copy_that_fails_is_told_while_the_member_is_down() -> None:
    """Without an own look at its log nobody knew why a member did not come up."""
    view = view_of("demo-1", postgres=replica_postgres(process="stopped", data="empty", control=None))
    view = replace(view, memory=replace(view.memory, clone_complaint="basebackup: no room"))
    assert status_document(view)["matriarch"]["problems"] == ["The data cannot be copied: basebackup: no room"]
    assert "problems" not in status_document(replace(view, postgres=replica_postgres()))["matriarch"]


def test_an_ipv6_address_is_bracketed() -> None:
    document = status_document(view_of(me=replace(me(), pod_ip="fd00::7")))
    assert document["api_url"] == "http://[fd00::7]:8008/patroni"
    assert document["conn_url"] == "postgres://[fd00::7]:5432/postgres"


@pytest.mark.parametrize(
    ("changes", "state", "role"),
    [
        ({"postgres": primary_postgres()}, "running", "primary"),
        ({"postgres": replica_postgres(process="starting", in_recovery=None)}, "starting", "primary"),
        ({"postgres": PostgresView(data="empty")}, "stopped", "uninitialized"),
        ({"postgres": PostgresView(data="unknown")}, "stopped", "replica"),
        ({"postgres": PostgresView(data="present", control=CRASHED)}, "crashed", "primary"),
        ({"postgres": PostgresView(data="present", control=CRASHED), "lock": LockView()}, "crashed", "demoted"),
        ({"postgres": PostgresView(data="present", control=OFF)}, "stopped", "replica"),
        ({"postgres": PostgresView(data="present", control=OFF, failures=2)}, "start failed", "replica"),
        (
            {"postgres": PostgresView(data="empty"), "activity": Activity("Clone", 1.0)},
            "creating replica",
            "uninitialized",
        ),
        (
            {"postgres": PostgresView(data="empty"), "activity": Activity("Bootstrap", 1.0)},
            "initializing new cluster",
            "uninitialized",
        ),
        (
            # Data that did not start before is rewound: nobody must take it for data that nothing happens to.
            {
                "postgres": PostgresView(data="present", control=OFF, failures=2),
                "activity": Activity("Rewind", 1.0),
            },
            "rewinding",
            "replica",
        ),
        ({"activity": Activity("Restart", 1.0)}, "restarting", "primary"),
        ({"activity": Activity("Checkpoint", 1.0)}, "running", "primary"),
    ],
)
def test_state_and_role(changes: dict[str, Any], state: str, role: str) -> None:
    view = view_of(**changes)
    assert (state_of(view), role_of(view)) == (state, role)


def test_the_label_follows_the_lock_first_and_the_role_second() -> None:
    assert role_label(view_of()) == "primary"
    assert role_label(view_of("demo-1")) == "replica"
    assert role_label(view_of("demo-1", postgres=replica_postgres(process="stopped"))) is None
    # A primary without the lock is nobody's target.
    assert role_label(view_of("demo-1", postgres=primary_postgres())) is None
    assert role_label(view_of(lock=LockView(holder="demo-0", expired=True))) is None
    # Of a standby cluster, too: what writes there is the other cluster's business, and the Service selects one label.
    standby = ClusterSettings(standby_cluster=StandbyCluster("main"))
    assert role_label(view_of(postgres=replica_postgres(), settings=standby)) == "primary"
    # The holder that still has to promote is the primary already: nobody else can be.
    assert role_label(view_of(postgres=replica_postgres())) == "primary"


def test_what_is_written_is_read_back() -> None:
    text = json.loads(json.dumps(status_document(view_of("demo-1"))))
    member = member_from_status("demo-1", text, "10.0.0.11")
    known = next(m for m in view_of().members if m.name == "demo-1")
    assert member == replace(known, capabilities=("takeover", "promise"))


def test_a_replica_that_serves_no_reads_has_no_label_for_the_replicas_service() -> None:
    assert member_labels(view_of("demo-1")) == {"role": "replica", "matriarch.dev/reads": "true"}
    assert member_labels(view_of()) == {"role": "primary", "matriarch.dev/reads": None}
    view = view_of("demo-1")
    view = replace(view, me=replace(view.me, tags=Tags(noloadbalance=True)))
    assert member_labels(view) == {"role": "replica", "matriarch.dev/reads": None}
