"""A cluster that follows another one: its leader, its members, its promotion and its demotion."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import (
    NOW,
    SYSID,
    a_view,
    answer,
    leading,
    lock,
    member,
    members,
    physical,
    poll,
    primary,
    replica,
    stopped,
)

from matriarch.ha.actions import (
    Acquire,
    AskLeader,
    Clone,
    Fence,
    Follow,
    HandOver,
    PollPeers,
    Promote,
    Reclaim,
    Release,
    Restart,
    Rewind,
    StartPrimary,
    StartReplica,
    StopPostgres,
    SyncSlots,
    WriteInitialize,
    WriteSync,
)
from matriarch.ha.decide import decide
from matriarch.ha.documents.edits import check_settings
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings, parse_settings
from matriarch.ha.standby_cluster import StandbyCluster
from matriarch.ha.view import (
    Activity,
    ConfigView,
    ControlData,
    Memory,
    PeerAnswer,
    PostgresView,
    PrimarySeen,
    RemoteHistory,
    Request,
    SyncView,
    Upstream,
    View,
)
from matriarch.words.sync_names import SyncNames

OTHER = StandbyCluster("db.example.org", 5432, "site_b")
SETTINGS = ClusterSettings(standby_cluster=OTHER)
REMOTE = Upstream("db.example.org:5432", "db.example.org", 5432, remote=True, slot="site_b")
SLOTS = ("demo_0", "demo_2")
MADE = physical(*SLOTS, active=True)
ROOM, FULL = answer("demo-0"), answer("demo-2", unfit="the disk is full")


def said(timeline: int = 1, sysid: str = SYSID, **switches: int) -> RemoteHistory:
    past = {int(key[1:]): lsn for key, lsn in switches.items()}
    return RemoteHistory(REMOTE.member, 3, sysid, timeline, past, in_recovery=False, asked_at=NOW - 1)


def standby_leading(**changes: Any) -> View:
    """demo-1 as a healthy standby leader; every keyword replaces one part."""
    base: dict[str, Any] = {
        "settings": SETTINGS,
        "lock": lock("demo-1"),
        "lease_until": NOW + 8,
        "sync": SyncView(None, (), 0, "9"),
        "members": (member("demo-0"), member("demo-1", "standby_leader", streaming=True), member("demo-2")),
        "postgres": replica(applied=SETTINGS, slots=MADE),
        "memory": Memory(followed=REMOTE, followed_epoch=3, followed_into=OTHER, sync_written="9"),
    }
    return a_view(**(base | changes))


def test_the_section_is_read_with_patronis_words() -> None:
    text = json.dumps({"standby_cluster": {"host": "db.example.org", "port": "5433", "primary_slot_name": "site_b"}})
    assert parse_settings(text).standby_cluster == StandbyCluster("db.example.org", 5433, "site_b")
    assert not parse_settings(text).synchronous


def test_several_hosts_are_one_source() -> None:
    """As in Patroni: the one counts that takes writes."""
    given = {"host": "10.0.0.1, db-2.example.org,fd00::1", "port": 5433}
    found = parse_settings(json.dumps({"standby_cluster": given})).standby_cluster
    assert found == StandbyCluster("10.0.0.1,db-2.example.org,fd00::1", 5433)
    assert check_settings({"standby_cluster": given}) is None


@pytest.mark.parametrize("nothing", [None, {}, [], "yes", {"host": None}, {"create_replica_methods": ["basebackup"]}])
def test_no_section_is_no_standby_cluster(nothing: Any) -> None:
    assert parse_settings(json.dumps({"standby_cluster": nothing})).standby_cluster is None


@pytest.mark.parametrize("host", ["a b", "x' user='postgres", "", 7, "h" * 300, "a,", "a,b c", ",".join("a" * 17)])
def test_a_hostile_host_is_followed_by_nobody_and_promotes_nobody(host: Any) -> None:
    read = parse_settings(json.dumps({"standby_cluster": {"host": host, "port": 5432}})).standby_cluster
    assert read == StandbyCluster()
    refusal = check_settings({"standby_cluster": {"host": host, "port": 5432}})
    assert refusal is not None
    assert "standby_cluster.host" in refusal.text


def test_a_settled_standby_leader_follows_on() -> None:
    decision = decide(standby_leading())
    assert (decision.actions, decision.reason, decision.lead) == ((), Reason.LEADING_STANDBY, True)


def test_it_is_judged_before_it_follows() -> None:
    view = standby_leading(memory=Memory(sync_written="9"))
    assert decide(view).actions == (AskLeader(REMOTE),)
    view = replace(view, memory=Memory(sync_written="9", remote=said()))
    assert decide(view).actions == (Follow(REMOTE),)


def test_data_that_diverged_is_rewound() -> None:
    view = standby_leading(memory=Memory(sync_written="9", remote=said(2, t1=500)))
    assert decide(view).actions == (Rewind(REMOTE),)


def test_two_histories_with_the_same_numbers_are_told_apart() -> None:
    postgres = replica(applied=SETTINGS, slots=MADE, timeline=2, switches={1: 700})
    view = standby_leading(postgres=postgres, memory=Memory(sync_written="9", remote=said(2, t1=500)))
    assert decide(view).actions == (Clone(REMOTE),)
    view = standby_leading(postgres=postgres, memory=Memory(sync_written="9", remote=said(3, t1=500, t2=9000)))
    assert decide(view).actions == (Rewind(REMOTE),)


def test_another_clusters_data_is_never_followed() -> None:
    view = standby_leading(memory=Memory(sync_written="9", remote=said(sysid="7" * 19)))
    decision = decide(view)
    assert (decision.actions, decision.reason) == ((), Reason.FOREIGN_DATA)


def test_a_remote_without_wal_for_long_is_asked_again() -> None:
    memory = replace(standby_leading().memory, starved_since=NOW - 11)
    assert decide(standby_leading(memory=memory)).actions == (AskLeader(REMOTE),)
    decision = decide(standby_leading(memory=replace(memory, remote=said(2, t1=500))))
    assert decision.actions == (Rewind(REMOTE),)
    assert decision.lead


def test_the_first_member_copies_from_the_other_cluster() -> None:
    view = standby_leading(postgres=PostgresView(data="empty"), config=ConfigView(True, "5", None, ()))
    assert decide(view).actions == (WriteInitialize("", "5"), Clone(REMOTE))
    assert decide(replace(view, lease_until=None)).actions == (Reclaim("77"),)


def test_the_identifier_is_on_record_before_the_copy_is_started() -> None:
    view = standby_leading(postgres=stopped("in archive recovery"), config=ConfigView(True, "5", "", ()))
    assert decide(view).actions == (WriteInitialize(SYSID, "5"),)


def test_stopped_data_starts_following_nobody_until_it_is_judged() -> None:
    view = standby_leading(postgres=stopped("in production"))
    assert decide(view).actions == (StartReplica(None),)
    matched = Memory(sync_written="9", rewound_epoch=3, rewound_from=REMOTE.member)
    assert decide(replace(view, memory=matched)).actions == (StartReplica(REMOTE),)


def test_rewound_data_on_which_nothing_came_up_is_judged_before_its_start() -> None:
    """A new agent does not know any more that it was rewound to the remote, and no server comes up without its WAL."""
    control = ControlData("in archive recovery", SYSID, 2, 900, consistent_at=1000)
    view = standby_leading(postgres=stopped(control=control, unproven=True), memory=Memory(sync_written="9"))
    assert decide(view).actions == (AskLeader(REMOTE),)
    known = replace(view, memory=replace(view.memory, remote=said(3, t2=1000)))
    assert decide(known).actions == (StartReplica(REMOTE),)
    past = replace(view, memory=replace(view.memory, remote=said(3, t2=999)))
    assert decide(past).actions == (Clone(REMOTE),)
    assert decide(past).lead and decide(known).lead


def test_a_start_that_follows_nobody_on_rewound_data_is_broken_off() -> None:
    """It was begun while nobody could tell whom to follow, without the API server."""
    control = ControlData("in archive recovery", SYSID, 2, 900, consistent_at=1000)
    postgres = replace(stopped(control=control, unproven=True), process="starting", in_recovery=True)
    view = standby_leading(postgres=postgres, memory=Memory(sync_written="9"))
    assert decide(replace(view, activity=Activity("StartReplica", NOW - 9))).actions == ()
    assert decide(replace(view, activity=Activity("StartReplica", NOW - 11))).actions == (Fence(),)


def test_a_standby_leader_is_not_copied_onto_a_full_disk_nor_for_a_parameter() -> None:
    def facing(**facts: Any) -> View:
        postgres = stopped("in archive recovery", failures=5, last_error="it says why", **facts)
        nobody = poll(replace(FULL, name="demo-0"), FULL)
        memory = Memory(sync_written="9", start_failed_at=NOW - 1)
        return standby_leading(postgres=postgres, memory=memory, poll=nobody)

    for waiting in (decide(facing(data_failures=5, disk_free=0)), decide(facing())):
        assert waiting.actions == () and waiting.lead and "it says why" in waiting.facts
    assert [type(action) for action in decide(facing(data_failures=5)).actions] == [Clone]


def without_room(*answers: PeerAnswer, **changes: Any) -> View:
    """demo-1 leads with a full disk: its server runs, and its stream has ended."""
    memory = Memory(followed=REMOTE, followed_epoch=3, followed_into=OTHER, sync_written="9", starved_since=NOW - 1)
    base: dict[str, Any] = {
        "postgres": replica(applied=SETTINGS, slots=MADE, streaming=False, disk_free=0),
        "memory": memory,
        "poll": poll(*answers) if answers else None,
    }
    return standby_leading(**(base | changes))


DOWN = stopped("in archive recovery", failures=1, disk_free=0)


def test_a_standby_leader_without_room_gives_way_to_a_member_that_has_some() -> None:
    asks = decide(without_room())
    assert (asks.actions, asks.reason, asks.lead) == ((PollPeers(),), Reason.ASKING_PEERS, True)
    given = (Release(handed_over=True, successor="demo-0"),)
    gives = decide(without_room(ROOM, FULL))
    assert (gives.actions, gives.reason, gives.lead) == (given, Reason.DISK_FULL, False)
    once_led = replace(without_room().memory, primary_seen=PrimarySeen(900, ()))
    assert decide(without_room(ROOM, FULL, memory=once_led)).actions == given, "it was primary before the demotion"


@pytest.mark.parametrize(
    "view",
    [
        without_room(replace(FULL, name="demo-0"), FULL),
        without_room(answer("demo-0", lsn=999), FULL),
        without_room(answer("demo-0", nofailover=True), FULL),
        without_room(ROOM, FULL, memory=replace(without_room().memory, starved_since=None)),
        without_room(ROOM, FULL, settings=replace(SETTINGS, pause=True)),
        without_room(ROOM, FULL, postgres=DOWN, memory=Memory(sync_written="9", start_failed_at=NOW - 1)),
    ],
    ids=["nobody has room", "who has is behind", "who has may not lead", "it streams all the same", "paused", "down"],
)
def test_a_standby_leader_without_room_goes_on_leading(view: View) -> None:
    decision = decide(view)
    assert decision.lead and not any(isinstance(action, Release) for action in decision.actions)


def test_a_free_lock_is_taken_without_a_promotion() -> None:
    view = a_view(
        settings=SETTINGS,
        lock=lock(None),
        sync=SyncView(None, (), 0, "9"),
        poll=poll(answer("demo-0"), answer("demo-2")),
        postgres=replica(applied=SETTINGS),
    )
    assert decide(view).actions == (Acquire("77"),)


def test_the_section_goes_and_the_leader_is_promoted() -> None:
    view = standby_leading(settings=ClusterSettings())
    assert Promote() in decide(view).actions


def test_the_section_comes_and_the_primary_becomes_a_standby() -> None:
    view = leading(settings=SETTINGS)
    decision = decide(view)
    assert decision.reason == Reason.DEMOTING_CLUSTER
    assert decision.actions[0] == WriteSync(None, (), "9")
    assert decision.actions[-1] == Restart(False, None)


def test_a_section_without_a_usable_host_demotes_nobody() -> None:
    decision = decide(leading(settings=ClusterSettings(standby_cluster=StandbyCluster())))
    assert decision.actions == ()
    assert decision.lead


def test_a_pause_demotes_nobody() -> None:
    assert decide(leading(settings=replace(SETTINGS, pause=True))).actions == ()


def test_a_switchover_gives_the_lock_away_without_a_shutdown() -> None:
    rows = leading().postgres.standbys
    view = standby_leading(
        request=Request("demo-1", "demo-0", None, "4"),
        poll=poll(answer("demo-0"), answer("demo-2")),
        postgres=replica(applied=SETTINGS, slots=MADE, standbys=rows),
    )
    assert decide(view).actions == (Release(handed_over=True),)
    assert not any(isinstance(action, HandOver) for action in decide(view).actions)


def test_a_terminating_standby_leader_gives_the_lock_away_first() -> None:
    view = standby_leading(memory=Memory(sync_written="9", terminating=True))
    assert decide(view).actions == (Release(), StopPostgres())


def test_without_the_api_server_nobody_is_started_as_a_primary() -> None:
    view = standby_leading(api_ok=False, postgres=stopped("shut down"))
    assert not any(isinstance(action, StartPrimary) for action in decide(view).actions)


def following(**changes: Any) -> View:
    """demo-1 as a replica of the standby leader demo-0."""
    leader = member("demo-0", "standby_leader", streaming=True)
    base: dict[str, Any] = {
        "settings": SETTINGS,
        "sync": SyncView(None, (), 0, "9"),
        "members": (leader, member("demo-1"), member("demo-2")),
        "postgres": replica(applied=SETTINGS),
    }
    return a_view(**(base | changes))


def test_a_member_lets_go_of_a_leader_that_is_about_to_follow_another_cluster() -> None:
    """Its data may be rewound meanwhile, and a stream that goes on would not be judged again (rule 5)."""
    assert decide(following()).actions == (Follow(None),)


def test_a_member_waits_until_the_leader_follows_the_other_cluster() -> None:
    memory = Memory(followed=None, followed_epoch=3, followed_into=OTHER)
    view = following(memory=memory, members=members("demo-0"))
    assert decide(view).actions == ()
    assert decide(following(memory=memory)).actions == (AskLeader(Upstream("demo-0", "10.0.0.0")),)
    known = RemoteHistory("demo-0", 3, SYSID, 1, {}, in_recovery=True)
    view = following(memory=replace(memory, remote=known))
    assert decide(view).actions == (Follow(Upstream("demo-0", "10.0.0.0")),)


def test_slots_left_from_leading_are_not_a_primarys_business_here() -> None:
    assert decide(standby_leading(postgres=replica(applied=SETTINGS, slots=()))).actions == (SyncSlots(SLOTS),)


def test_a_primary_in_a_standby_cluster_without_the_lock_is_fenced() -> None:
    view = following(postgres=primary())
    assert decide(view).reason == Reason.LEASE_LOST


def test_a_demotion_acknowledges_no_commit_that_waits() -> None:
    """In strict mode nobody else has it, and its WAL is rewound next."""
    strict = SyncNames(strict=True)
    postgres = primary(sync_names=strict, applied=SETTINGS)
    view = standby_leading(postgres=postgres, sync=SyncView("demo-1", (), 0, "9"))
    assert decide(view).actions == (WriteSync(None, (), "9"), Restart(False, None))
