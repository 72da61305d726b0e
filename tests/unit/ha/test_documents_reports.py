"""What the REST API shows: /patroni, /cluster, /history, /config, /failsafe, and the metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from unit.ha.document_cases import NOW, PRIMARY_LSN, WALL, facts_of, primary_postgres, replica_postgres, view_of

from matriarch.ha.documents import (
    cluster_document,
    config_text,
    failsafe_document,
    history_document,
    patroni_document,
    patroni_samples,
    render,
)
from matriarch.ha.documents.metrics import Sample, epoch_of
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ConfigView, Failsafe, HistoryEntry, LockView, Request, Standby, SyncView


def test_patroni_of_a_primary_in_the_known_order() -> None:
    standby = Standby("demo-1", "streaming", "sync", 1, 1, 1)
    document = patroni_document(facts_of(view_of(postgres=primary_postgres(standbys=(standby,)))))
    assert list(document) == [
        "state",
        "role",
        "postmaster_start_time",
        "server_version",
        "xlog",
        "timeline",
        "replication",
        "dcs_last_seen",
        "database_system_identifier",
        "patroni",
        "matriarch",
    ]
    assert document["xlog"] == {"location": PRIMARY_LSN}
    assert document["patroni"] == {"version": "4.1.5", "scope": "demo", "name": "demo-0"}
    assert document["dcs_last_seen"] == int(WALL)


def test_patroni_of_replicas_tells_their_part_in_replication() -> None:
    assert patroni_document(facts_of(view_of("demo-1")))["sync_standby"] is True
    assert "sync_standby" not in patroni_document(facts_of(view_of("demo-2")))
    quorum = view_of("demo-1", settings=ClusterSettings(synchronous_mode="quorum"))
    assert patroni_document(facts_of(quorum))["quorum_standby"] is True
    assert patroni_document(facts_of(quorum))["replication_state"] == "streaming"


def test_patroni_shows_trouble() -> None:
    view = view_of(
        lock=LockView(holder="demo-0", expired=True),
        settings=ClusterSettings(pause=True),
        failsafe=Failsafe(confirmed_at=NOW - 1),
        postgres=primary_postgres(pending_restart={"max_connections": {"old_value": "1", "new_value": "2"}}),
    )
    document = patroni_document(facts_of(view))
    for key in ("cluster_unlocked", "pause", "failsafe_mode_is_active", "pending_restart"):
        assert document[key] is True
    later = facts_of(view, now=NOW + 60)
    assert "failsafe_mode_is_active" not in patroni_document(later)


def test_a_server_that_does_not_answer_shows_no_position() -> None:
    document = patroni_document(facts_of(view_of("demo-1", postgres=replica_postgres(in_recovery=None))))
    assert "xlog" not in document
    assert document["role"] == "replica"


def test_an_unknown_position_is_left_out_and_never_null() -> None:
    """Readers compute with these numbers; null would break a Patroni member's race."""
    blind = replica_postgres(received_lsn=None, replayed_lsn=None)
    assert "xlog" not in patroni_document(facts_of(view_of("demo-1", postgres=blind)))
    half = replica_postgres(replayed_lsn=None)
    assert patroni_document(facts_of(view_of("demo-1", postgres=half)))["xlog"]["replayed_location"] == 0
    assert "xlog" not in patroni_document(facts_of(view_of(postgres=primary_postgres(lsn=None))))


def test_before_the_first_look() -> None:
    facts = replace(facts_of(view_of()), view=None, api_seen_at=None)
    document = patroni_document(facts)
    assert (document["state"], document["dcs_last_seen"], document["cluster_unlocked"]) == ("unknown", 0, True)
    assert cluster_document(facts) == {"members": [], "scope": "demo"}
    assert history_document(facts) == []
    assert failsafe_document(facts) is None


def test_cluster_lists_everybody_by_lock_and_sync_object() -> None:
    document = cluster_document(facts_of(view_of("demo-2")))
    rows = {row["name"]: row for row in document["members"]}
    assert [row["name"] for row in document["members"]] == ["demo-0", "demo-1", "demo-2"]
    assert {name: row["role"] for name, row in rows.items()} == {
        "demo-0": "leader",
        "demo-1": "sync_standby",
        "demo-2": "replica",
    }
    assert (rows["demo-0"]["state"], rows["demo-1"]["state"]) == ("running", "streaming")
    assert rows["demo-1"] | {"host": "10.0.0.11", "port": 5432, "timeline": 2} == rows["demo-1"]
    assert (rows["demo-1"]["lag"], rows["demo-1"]["lsn"]) == (256, "0/5000000")
    assert (rows["demo-1"]["replay_lag"], rows["demo-1"]["replay_lsn"]) == (272, "0/4FFFFF0")
    assert "lag" not in rows["demo-0"]
    assert document["scope"] == "demo"
    assert "pause" not in document


def test_a_member_that_tells_nothing_still_has_every_key() -> None:
    facts = facts_of(view_of(), statuses={})
    row = next(row for row in cluster_document(facts)["members"] if row["name"] == "demo-2")
    assert row["timeline"] == 2
    silent = replace(view_of(), members=(replace(view_of().members[2], timeline=None, lsn=None, conn_url=None),))
    row = cluster_document(facts_of(silent, statuses={}))["members"][0]
    assert (row["timeline"], row["lag"], row["lsn"], row["host"], row["port"]) == (
        0,
        "unknown",
        "unknown",
        "10.0.0.12",
        5432,
    )


@pytest.mark.parametrize("conn_url", ["postgres://h:99999/x", "postgres://[bad/x", "postgres://h:x/"])
def test_a_broken_connection_string_does_not_break_the_list(conn_url: str) -> None:
    view = view_of(members=(replace(view_of().members[2], conn_url=conn_url),))
    assert cluster_document(facts_of(view))["members"][0]["host"] == "10.0.0.12"


@pytest.mark.parametrize("at", [None, WALL + 60, 1e300, float("inf")])
def test_a_scheduled_switchover_is_shown_when_it_has_a_time(at: float | None) -> None:
    view = view_of(request=Request("demo-0", "demo-1", at, "4"), settings=ClusterSettings(pause=True))
    document = cluster_document(facts_of(view))
    if at == WALL + 60:
        assert document["scheduled_switchover"] == {
            "at": "2027-01-15T08:01:00+00:00",
            "from": "demo-0",
            "to": "demo-1",
        }
    else:
        assert "scheduled_switchover" not in document
    assert document["pause"] is True


def test_history_keeps_its_columns() -> None:
    entries = (HistoryEntry(1, 5, "why", "when", "demo-0"), HistoryEntry(2, 6, "old"))
    view = view_of(config=ConfigView(exists=True, history=entries))
    assert history_document(facts_of(view)) == [[1, 5, "why", "when", "demo-0"], [2, 6, "old"]]


def test_config_is_served_byte_for_byte() -> None:
    assert config_text('{"ttl": 9,\n"a":1}') == '{"ttl": 9,\n"a":1}'
    for unusable in (None, "", "[]", "nonsense", "{"):
        assert config_text(unusable) is None


def test_failsafe_topology() -> None:
    assert failsafe_document(facts_of(view_of())) == view_of().lock.failsafe
    assert failsafe_document(facts_of(view_of(lock=LockView()))) is None


def _metrics(text: str) -> dict[str, float]:
    """By name."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels == {"scope": "demo", "name": "demo-0"}
    }


def test_metrics_have_patronis_names_and_values() -> None:
    text = render(patroni_samples(facts_of(view_of())), "demo", "demo-0")
    values = _metrics(text)
    expected = {
        "patroni_version": 40105,
        "patroni_postgres_running": 1,
        "patroni_primary": 1,
        "patroni_replica": 0,
        "patroni_xlog_location": PRIMARY_LSN,
        "patroni_xlog_received_location": 0,
        "patroni_postgres_streaming": 0,
        "patroni_postgres_server_version": 170006,
        "patroni_cluster_unlocked": 0,
        "patroni_failsafe_mode_enabled": 1,
        "patroni_failsafe_member": 1,
        "patroni_postgres_timeline": 2,
        "patroni_dcs_last_seen": int(WALL),
        "patroni_postgres_state": 5,
        "patroni_failover_priority": 1,
        "patroni_is_paused": 0,
        "patroni_pending_restart": 0,
        "patroni_sync_standby": 0,
    }
    assert {name: values[name] for name in expected} == expected
    assert len(values) == 26
    assert "# TYPE patroni_xlog_location gauge" in text
    assert "# Values: 0=initializing new cluster, " in text


def test_metrics_of_a_replica_and_before_the_first_look() -> None:
    facts = facts_of(view_of("demo-1"))
    values = {sample.name: sample.value for sample in patroni_samples(facts)}
    assert (values["patroni_replica"], values["patroni_sync_standby"], values["patroni_postgres_streaming"]) == (
        1,
        1,
        1,
    )
    assert values["patroni_xlog_location"] == 0
    standing = replica_postgres(
        streaming=False, reads_archive=True, replay_paused=True, replayed_at="2026-11-21 08:00:00.500000+00:00"
    )
    still = facts_of(view_of("demo-1", postgres=standing))
    values = {sample.name: sample.value for sample in patroni_samples(still)}
    assert values["patroni_xlog_replayed_timestamp"] == 1795248000.5
    assert (values["patroni_xlog_paused"], values["patroni_postgres_streaming"]) == (1, 0)
    assert values["patroni_postgres_in_archive_recovery"] == 1
    document = patroni_document(still)
    assert document["replication_state"] == "in archive recovery"
    assert document["xlog"]["paused"] is True
    assert document["xlog"]["replayed_timestamp"] == "2026-11-21 08:00:00.500000+00:00"
    started = {sample.name: sample.value for sample in patroni_samples(replace(facts, view=None))}
    assert started["patroni_postgres_state"] == -1


def test_large_positions_stay_exact_and_labels_are_escaped() -> None:
    text = render((Sample("m", "help", 2**62 + 1),), 'a"b\\', "n\nm")
    assert text.splitlines()[-1] == 'm{scope="a\\"b\\\\",name="n\\nm"} ' + str(2**62 + 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-11-21 08:00:00.5+00:00", 1795248000.5), (None, 0), ("yesterday", 0), ("2026-11-21 08:00:00", 0)],
)
def test_start_times(text: Any, seconds: float) -> None:
    assert epoch_of(text) == seconds


def test_nobody_is_synchronous_without_a_sync_leader() -> None:
    view = view_of("demo-2", sync=SyncView())
    assert {row["role"] for row in cluster_document(facts_of(view))["members"]} == {"leader", "replica"}
