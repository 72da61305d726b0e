"""Reading what other members wrote: legacy, absent, broken and hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.ha.document_cases import PRIMARY_LSN, REPLICA_LSN, facts_of, pod, replica_postgres, view_of

from matriarch.ha.documents import (
    decode_object,
    encode,
    member_from_pod,
    patroni_document,
    peer_answer_from,
    status_of,
)
from matriarch.ha.tags import tags_from
from matriarch.ha.view import MemberView, PeerAnswer, PostgresView, Tags

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ("conn_url", "api_url", "state", "role", "timeline", "xlog_location", "tags", "xlog", "patroni", "matriarch")
)

PATRONI_REPLICA = (
    '{"conn_url":"postgres://10.0.0.11:5432/postgres","api_url":"http://10.0.0.11:8008/patroni","state":"running",'
    '"role":"replica","version":"4.1.4","xlog_location":83886424,"replay_lsn":83886424,"receive_lsn":83886424,'
    '"replication_state":"streaming","timeline":2}'
)


def test_a_patroni_members_status_is_read() -> None:
    assert member_from_pod(pod("demo-1", PATRONI_REPLICA)) == MemberView(
        name="demo-1",
        api_url="http://10.0.0.11:8008/patroni",
        conn_url="postgres://10.0.0.11:5432/postgres",
        pod_ip="10.0.0.11",
        state="running",
        role="replica",
        timeline=2,
        lsn=83886424,
        streaming=True,
    )


@pytest.mark.parametrize(
    "status", [None, "", "null", "[]", "7", "{", "[" * 100_000, '{"a":NaN}', '{"a":[1e999]}', '{"\\ud800":1}']
)
def test_an_unreadable_status_is_an_unknown_member(status: str | None) -> None:
    assert member_from_pod(pod("demo-1", status)) == MemberView(name="demo-1", pod_ip="10.0.0.11")


@pytest.mark.parametrize("broken", [{}, {"metadata": None}, {"metadata": {"annotations": []}, "status": 3}])
def test_a_misshapen_pod_is_a_nameless_member(broken: dict[str, Any]) -> None:
    assert member_from_pod(broken) == MemberView(name="")


def test_the_form_of_very_old_members_is_read() -> None:
    text = "postgres://u:p@10.0.0.11:5432/postgres?application_name=http://10.0.0.11:8008/patroni"
    member = member_from_pod(pod("demo-1", text))
    assert member.api_url == "http://10.0.0.11:8008/patroni"
    assert member.conn_url == "postgres://u:p@10.0.0.11:5432/postgres"
    assert member.state == "unknown"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "http://u:p@h/patroni", "http://h h/", "gopher://h", "http://", 7, "http://h/\n", "x" * 999],
)
def test_only_plain_http_addresses_are_asked(url: object) -> None:
    assert member_from_pod(pod("demo-1", json.dumps({"api_url": url}))).api_url is None


@pytest.mark.parametrize("value", [True, -1, 2**63, 1.5, "83886424", None, []])
def test_an_impossible_position_is_an_unknown_one(value: object) -> None:
    member = member_from_pod(pod("demo-1", json.dumps({"xlog_location": value, "timeline": value})))
    assert (member.lsn, member.timeline) == (None, None)


def test_words_outside_the_vocabulary_are_unknown() -> None:
    member = member_from_pod(pod("demo-1", '{"state":"<script>","role":"emperor"}'))
    assert (member.state, member.role) == ("unknown", "unknown")
    assert member_from_pod(pod("demo-1", '{"role":"master"}')).role == "primary"


def test_checkpoint_after_promote_is_absent_or_false() -> None:
    assert member_from_pod(pod("demo-1", '{"checkpoint_after_promote":false}')).checkpoint_after_promote is False
    assert member_from_pod(pod("demo-1", "{}")).checkpoint_after_promote is True


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ({"nofailover": "true"}, Tags(nofailover=True)),
        ({"failover_priority": "0"}, Tags(nofailover=True, failover_priority=0)),
        ({"failover_priority": 0, "nofailover": False}, Tags(failover_priority=0)),
        ({"failover_priority": "1", "nofailover": True}, Tags(nofailover=True)),
        ({"sync_priority": -1}, Tags(nosync=True, sync_priority=-1)),
        ({"failover_priority": "many"}, Tags()),
        ({"clonefrom": "on", "noloadbalance": 1}, Tags(clonefrom=True, noloadbalance=True)),
        ("nonsense", Tags()),
        ({"failover_priority": 10**400}, Tags()),
    ],
)
def test_tags_are_read_as_people_write_them(written: object, tags: Tags) -> None:
    assert tags_from(written) == tags


@given(st.dictionaries(KEYS | st.text(), JSON))
def test_no_document_stops_a_reader(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    member_from_pod(pod("demo-1", text))
    peer_answer_from("demo-1", document, "demo")


@given(st.text())
def test_no_text_stops_a_reader(text: str) -> None:
    decoded = decode_object(text)
    assert decoded is None or decode_object(encode(decoded)) == decoded
    status_of(pod("demo-1", text))


def test_our_own_answers_are_read_back() -> None:
    primary = peer_answer_from("demo-0", patroni_document(facts_of(view_of())), "demo")
    assert primary == PeerAnswer(
        name="demo-0",
        reachable=True,
        in_recovery=False,
        running=True,
        timeline=2,
        lsn=PRIMARY_LSN,
        sysid="7591234567890123456",
    )
    replica = peer_answer_from("demo-1", patroni_document(facts_of(view_of("demo-1"))), "demo")
    assert (replica.in_recovery, replica.lsn, replica.running) == (True, REPLICA_LSN, True)


@pytest.mark.parametrize(
    ("postgres", "empty"),
    [(PostgresView(data="empty"), True), (PostgresView(data="unknown"), False), (PostgresView(data="present"), False)],
)
def test_a_stopped_peer_knows_no_position_and_says_whether_it_has_data(postgres: PostgresView, empty: bool) -> None:
    view = view_of("demo-1", postgres=postgres)
    answer = peer_answer_from("demo-1", patroni_document(facts_of(view)), "demo")
    assert (answer.reachable, answer.running, answer.lsn, answer.in_recovery) == (True, False, None, None)
    assert answer.empty is empty


def test_an_answer_of_somebody_else_is_no_answer() -> None:
    document = patroni_document(facts_of(view_of("demo-1")))
    assert peer_answer_from("demo-2", document, "demo") == PeerAnswer(name="demo-2", reachable=False)
    assert peer_answer_from("demo-1", document, "other") == PeerAnswer(name="demo-1", reachable=False)
    for nonsense in (None, [], "running", 7):
        assert not peer_answer_from("demo-1", nonsense).reachable


def test_a_patroni_peers_answer_is_read() -> None:
    document = {
        "state": "running",
        "role": "replica",
        "xlog": {"received_location": 100, "replayed_location": 90, "replayed_timestamp": None, "paused": False},
        "timeline": 3,
        "tags": {"failover_priority": "2", "nofailover": False},
        "patroni": {"version": "4.1.5", "scope": "demo", "name": "demo-2"},
    }
    answer = peer_answer_from("demo-2", document, "demo")
    assert (answer.lsn, answer.timeline, answer.priority, answer.nofailover) == (100, 3, 2, False)
    document["watchdog_failed"] = True
    assert peer_answer_from("demo-2", document, "demo").nofailover


@pytest.mark.parametrize(
    "told",
    [
        {"role": "primary", "xlog": {"location": 100}},
        {"role": "master"},
        {"role": "replica", "xlog": {"location": 100}},
        {"role": "primary", "xlog": {}},
    ],
)
def test_a_peer_that_is_primary_is_known_as_one_however_it_tells(told: dict[str, Any]) -> None:
    """By its role or by its position: one field that was misread let a second one be promoted beside it."""
    document = {"state": "running", "timeline": 3, "patroni": {"scope": "demo", "name": "demo-2"}, **told}
    assert peer_answer_from("demo-2", document, "demo").in_recovery is False


def test_a_replica_that_has_received_nothing_shows_what_it_replayed() -> None:
    view = view_of("demo-1", postgres=replica_postgres(received_lsn=None))
    xlog = patroni_document(facts_of(view))["xlog"]
    assert xlog["received_location"] == xlog["replayed_location"] == REPLICA_LSN - 16
