"""Replication slots: who keeps which, how they move, and when one may be dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, leading, lock, member, physical, replica

from matriarch.ha.actions import CreateLogicalSlots, SyncSlots
from matriarch.ha.decide import decide
from matriarch.ha.documents.edits import check_settings
from matriarch.ha.documents.status import status_document
from matriarch.ha.rules import slots
from matriarch.ha.settings import ClusterSettings, settings_from
from matriarch.ha.slots import PermanentSlot, SlotPattern, is_members, slots_from
from matriarch.ha.tags import Tags
from matriarch.ha.view import Failsafe, Memory, Slot, Upstream, View

OTHERS = physical("demo_0", "demo_2")
FEED = PermanentSlot("feed", "app", "pgoutput")
LOGICAL = Slot("feed", "logical", restart_lsn=800, confirmed_lsn=850, database="app", plugin="pgoutput", failover=True)


def following(settings: ClusterSettings | None = None, memory: Memory | None = None, **facts: Any) -> View:
    """demo-1 as a replica of demo-0 at position 1000; keywords change its Postgres."""
    settings = settings or ClusterSettings()
    base = {"applied": settings, "replayed_lsn": 1000, "slots": OTHERS, "server_version": 170000}
    followed = Memory(followed=Upstream("demo-0", "10.0.0.0"), followed_epoch=3)
    return a_view(settings=settings, memory=memory or followed, postgres=replica(**(base | facts)))


def led(settings: ClusterSettings | None = None, memory: Memory | None = None, **facts: Any) -> View:
    settings = settings or ClusterSettings()
    base = leading()
    postgres = replace(base.postgres, **({"applied": settings, "server_version": 170000} | facts))
    return replace(base, settings=settings, postgres=postgres, memory=memory or Memory(sync_written="9"))


def step(view: View) -> SyncSlots | None:
    found = [action for action in decide(view).actions if isinstance(action, SyncSlots)]
    assert len(found) < 2
    return found[0] if found else None


def missing(**since: float) -> Memory:
    base = {"followed": Upstream("demo-0", "10.0.0.0"), "followed_epoch": 3, "sync_written": "9"}
    return Memory(**base, slots_missing_since=since)  # type: ignore[arg-type]


def asking(**document: Any) -> ClusterSettings:
    return settings_from(document)


# --- members' slots -----------------------------------------------------------------------------------------------


def test_every_member_that_may_lead_keeps_a_slot_for_every_other() -> None:
    """The slot of a former leader must be there at the failover: it is made while that member still leads."""
    assert step(following(slots=())) == SyncSlots(("demo_0", "demo_2"))
    assert step(led(slots=())) == SyncSlots(("demo_0", "demo_2"))
    assert step(following()) is None


def test_a_member_that_never_leads_keeps_slots_only_for_those_that_stream_from_it() -> None:
    """What it kept for others would hold WAL back for ever: nobody moves it on."""
    never = Tags(nofailover=True)
    view = following()
    view = replace(view, me=replace(view.me, tags=never))
    assert step(view) == SyncSlots((), ("demo_0", "demo_2"))
    child = member("demo-2", tags=Tags(replicatefrom="demo-1"))
    assert step(replace(view, members=(member("demo-0", "primary"), member("demo-1"), child))) == SyncSlots(
        ("demo_2",), ("demo_0",)
    )


def test_without_retention_only_those_who_stream_from_here_have_slots() -> None:
    assert step(following(ClusterSettings(member_slots_ttl=0))) == SyncSlots((), ("demo_0", "demo_2"))
    assert step(led(ClusterSettings(member_slots_ttl=0), slots=())) == SyncSlots(("demo_0", "demo_2"))


def test_nothing_follows_from_slots_that_are_not_known() -> None:
    """Rule 7: a server that did not answer has not lost its slots."""
    for view in (following(slots=None), led(slots=None)):
        assert step(view) is None and slots.unclaimed(view.postgres, view.members, view.settings) == set()


def test_slots_on_a_replica_follow_the_positions_in_the_lock() -> None:
    told = lock(slots={"demo_0": 960, "demo_2": 950})
    assert step(replace(following(), lock=told)) == SyncSlots(
        ("demo_0", "demo_2"), (), (("demo_0", 960), ("demo_2", 950))
    )


def test_a_slot_never_moves_past_what_was_replayed_nor_back() -> None:
    ahead = replace(following(replayed_lsn=940), lock=lock(slots={"demo_0": 960, "demo_2": 10}))
    assert step(ahead) == SyncSlots(("demo_0", "demo_2"), (), (("demo_0", 940),))
    assert step(replace(following(replayed_lsn=None), lock=lock(slots={"demo_0": 960}))) is None


def test_a_slot_in_use_is_left_to_its_user() -> None:
    busy = physical("demo_0", "demo_2", active=True)
    assert step(replace(following(slots=busy), lock=lock(slots={"demo_0": 960, "demo_2": 950}))) is None


def test_the_leader_moves_the_slots_of_those_who_stream_from_somebody_else() -> None:
    """Cascading: the leader keeps a slot for the grandchild, which nobody streams through."""
    view = led(slots=(*physical("demo_0", active=True), *physical("demo_2")), timeline=1)
    grandchild = member("demo-2", streaming=True, timeline=1, lsn=980, tags=Tags(replicatefrom="demo-0"))
    members_now = (member("demo-0"), member("demo-1", "primary"), grandchild)
    assert step(replace(view, members=members_now)) == SyncSlots(("demo_0", "demo_2"), (), (("demo_2", 980),))
    diverged = replace(grandchild, timeline=2)
    assert step(replace(view, members=(*members_now[:2], diverged))) is None
    assert step(replace(view, members=(*members_now[:2], replace(grandchild, streaming=False)))) is None


def test_in_failsafe_the_claims_positions_count() -> None:
    claim = Failsafe(None, "demo-0", "u", "c", NOW - 0.5, {"demo_2": 970})
    view = replace(following(), api_ok=False, failsafe=claim, lock=lock(slots={"demo_2": 990}, seen_at=NOW - 5))
    assert step(view) == SyncSlots((), (), (("demo_2", 970),)), "nothing is made or dropped without the API server"
    assert step(replace(view, failsafe=Failsafe())) is None


# --- retention ----------------------------------------------------------------------------------------------------


def test_a_gone_members_slot_is_dropped_after_the_ttl_and_never_early() -> None:
    three = (*OTHERS, *physical("demo_7"))
    for view in (led, following):
        assert step(view(memory=missing(demo_7=NOW - 1799), slots=three)) is None
        assert step(view(memory=missing(demo_7=NOW - 1801), slots=three)) == SyncSlots(
            ("demo_0", "demo_2"), ("demo_7",)
        )
        busy = (*OTHERS, *physical("demo_7", active=True))
        assert step(view(memory=missing(demo_7=NOW - 1801), slots=busy)) is None


def test_a_replica_keeps_what_the_leader_retains() -> None:
    """And makes it, so that retention outlives a failover."""
    retaining = lock(retained=("demo_7", "stranger"), slots={"demo_7": 940})
    assert step(replace(following(), lock=retaining)) == SyncSlots(("demo_0", "demo_2", "demo_7"))
    three = following(memory=missing(demo_7=NOW - 9999), slots=(*OTHERS, *physical("demo_7")))
    assert step(replace(three, lock=retaining)) == SyncSlots(("demo_0", "demo_2", "demo_7"), (), (("demo_7", 940),))


def test_nothing_is_dropped_while_paused() -> None:
    three = (*OTHERS, *physical("demo_7"))
    assert step(led(ClusterSettings(pause=True), missing(demo_7=NOW - 9999), slots=three)) is None


def test_the_leader_tells_positions_its_own_and_what_it_retains() -> None:
    hand_made = Slot("barman", restart_lsn=5)
    view = led(slots=(*OTHERS, *physical("demo_7"), hand_made, LOGICAL))
    assert slots.positions(view) == {"demo_0": 900, "demo_1": 1000, "demo_2": 900, "demo_7": 900}
    assert slots.retained(view) == ("demo_7",)
    with_feed = replace(view, settings=asking(slots={"feed": {"database": "app", "plugin": "pgoutput"}}))
    assert slots.positions(with_feed)["feed"] == 850


# --- what is not ours ---------------------------------------------------------------------------------------------


def test_a_slot_made_by_hand_stays_on_the_primary_and_goes_from_replicas() -> None:
    """A former primary's hand-made slots would hold WAL back on a replica for ever."""
    mine = (*OTHERS, Slot("barman", restart_lsn=5), replace(LOGICAL, name="debezium", failover=False))
    old = missing(barman=NOW - 9999, debezium=NOW - 9999)
    assert step(led(memory=old, slots=mine)) is None
    assert step(following(memory=old, slots=mine)) == SyncSlots(("demo_0", "demo_2"), ("barman", "debezium"))
    ignoring = asking(ignore_slots=[{"name": "barman"}, {"plugin": "pgoutput", "type": "logical"}])
    assert step(following(ignoring, old, slots=mine)) is None


def test_a_permanent_slot_that_the_settings_no_longer_ask_for_is_dropped() -> None:
    """It was ours: the lock's `slots` named it."""
    view = led(memory=missing(backup=NOW - 1801), slots=(*OTHERS, Slot("backup", restart_lsn=5)))
    assert step(view) is None
    assert step(replace(view, lock=lock("demo-1", slots={"backup": 5}))) == SyncSlots(
        ("demo_0", "demo_2"), ("backup",)
    )


def test_what_is_missing_counts_anew_once_the_member_was_there() -> None:
    """Also while Postgres was down and showed no slots, and after a time in which nobody could see the pods."""
    view = led(slots=(*OTHERS, *physical("demo_7")))
    down, before, early = replace(view.postgres, slots=None), {"demo_7": NOW - 50}, NOW - 99

    def since(before: dict[str, float], **changed: Any) -> dict[str, float]:
        facts = {"postgres": view.postgres, "members": view.members, "settings": view.settings, "now": NOW}
        return slots.missing_since(before, **(facts | {"followed_since": early} | changed))

    assert since({}) == {"demo_7": NOW}
    assert since(before) == since(before, postgres=down) == before
    assert since(before, followed_since=NOW - 20) == {"demo_7": NOW - 20}
    back = (*view.members, member("demo-7"))
    assert since(before, members=back) == since(before, members=back, postgres=down) == {}


def test_copies_that_the_server_keeps_are_left_to_it() -> None:
    copy = replace(LOGICAL, name="other", synced=True)
    assert step(following(memory=missing(other=NOW - 9999), slots=(*OTHERS, copy))) is None


def test_a_promoted_servers_copies_are_its_own_slots() -> None:
    copy = replace(LOGICAL, synced=True)
    view = led(memory=missing(feed=NOW - 1801), slots=(*OTHERS, copy))
    assert slots.unclaimed(view.postgres, view.members, view.settings) == {"feed"}
    ours = replace(view, lock=lock("demo-1", slots={"feed": 5}))
    assert step(ours) == SyncSlots(("demo_0", "demo_2"), ("feed",))


def test_a_pattern_matches_only_when_all_that_it_names_is_so() -> None:
    assert SlotPattern(name="feed", plugin="pgoutput").matches(LOGICAL)
    assert not SlotPattern(name="feed", plugin="wal2json").matches(LOGICAL)
    assert slots_from({"ignore_slots": [{}, "x", {"nonsense": 1}]}).ignored == (), "an empty one would match every slot"


# --- what has to be made anew -------------------------------------------------------------------------------------


def test_a_lost_slot_is_made_anew() -> None:
    broken = (*physical("demo_0", lost=True), *physical("demo_2"))
    for view in (led, following):
        assert step(view(slots=broken)) == SyncSlots(("demo_0", "demo_2"), ("demo_0",))
        unreserved = (*physical("demo_0", restart_lsn=None), *physical("demo_2"))
        assert step(view(slots=unreserved)) == SyncSlots(("demo_0", "demo_2"), ("demo_0",))
        assert step(view(slots=(*physical("demo_0", lost=True, active=True), *physical("demo_2")))) is None


def test_a_mirrored_slot_that_pins_old_rows_is_made_anew_on_a_replica_only() -> None:
    """An inactive slot with xmin stops vacuum on the primary; on the primary itself its absent standby still needs
    the WAL, so it stays until the TTL is over."""
    pinning = (*physical("demo_0"), *physical("demo_2", holds_rows=True))
    assert step(following(slots=pinning)) == SyncSlots(("demo_0", "demo_2"), ("demo_2",))
    assert step(led(slots=pinning)) is None


# --- permanent slots ----------------------------------------------------------------------------------------------


def test_permanent_physical_slots_are_everywhere_and_move_on_replicas() -> None:
    backup = asking(slots={"backup": None})
    assert step(led(backup)) == SyncSlots(("backup", "demo_0", "demo_2"))
    have = (*OTHERS, Slot("backup", restart_lsn=900))
    told = lock(slots={"backup": 930})
    assert step(replace(following(backup, slots=have), lock=told)) == SyncSlots(
        ("backup", "demo_0", "demo_2"), (), (("backup", 930),)
    )
    assert step(replace(led(backup, slots=have), lock=lock("demo-1", slots={"backup": 930}))) is None


def test_a_permanent_slot_of_one_kind_of_cluster() -> None:
    only = asking(slots={"backup": {"type": "physical", "cluster_type": "standby"}})
    assert step(led(only)) is None


def test_nobody_keeps_a_permanent_slot_for_itself() -> None:
    assert step(led(asking(slots={"demo_1": None}))) is None


def test_logical_slots_are_made_on_the_primary_only() -> None:
    feed = asking(slots={"feed": {"type": "logical", "database": "app", "plugin": "pgoutput"}})
    assert CreateLogicalSlots((FEED,)) in decide(led(feed)).actions
    assert not any(isinstance(action, CreateLogicalSlots) for action in decide(following(feed)).actions)
    assert decide(led(feed, slots=(*OTHERS, LOGICAL))).actions == ()
    waiting = Memory(sync_written="9", logical_slots_not_before=NOW + 1)
    assert decide(led(feed, waiting)).actions == ()
    assert decide(led(feed, server_version=160004)).actions == ()


def test_a_former_primarys_slot_makes_room_for_the_servers_own_copy() -> None:
    feed = asking(slots={"feed": {"database": "app", "plugin": "pgoutput"}})
    assert step(following(feed, slots=(*OTHERS, LOGICAL))) == SyncSlots(("demo_0", "demo_2"), ("feed",))
    assert step(following(feed, slots=(*OTHERS, LOGICAL), streaming=False)) is None
    assert step(following(feed, slots=(*OTHERS, replace(LOGICAL, synced=True)))) is None
    consumers_own = (*OTHERS, replace(LOGICAL, failover=False))
    assert step(following(feed, slots=consumers_own)) == SyncSlots(("demo_0", "demo_2"), ("feed",))
    assert step(following(feed, slots=consumers_own, server_version=160004)) is None, "it copies nothing"
    once_physical = (*OTHERS, Slot("feed", restart_lsn=1))
    assert step(following(feed, slots=once_physical)) == SyncSlots(("demo_0", "demo_2"), ("feed",))
    assert step(following(feed, slots=(*OTHERS, Slot("feed", restart_lsn=1, active=True)))) is None
    assert step(led(feed, slots=once_physical)) is None, "a person decides about the primary's own"
    assert step(led(feed, slots=consumers_own)) is None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"server_version": 160004}, "PostgreSQL 17"),
        ({"slots": (Slot("feed", restart_lsn=1),)}, "made differently"),
        ({"pending_restart": {"wal_level": {"old_value": "replica", "new_value": "logical"}}}, "waits for a restart"),
        ({"slots": (replace(LOGICAL, lost=True),)}, "copy the consumer's data anew"),
        ({"slots": (replace(LOGICAL, failover=False),)}, "without `failover`"),
    ],
)
def test_what_stands_against_a_permanent_slot_is_told(facts: dict[str, Any], words: str) -> None:
    """A lost logical slot is never made anew by itself: that would hide from its consumer what it missed."""
    view = led(asking(slots={"feed": {"database": "app", "plugin": "pgoutput"}}), **facts)
    assert not any(isinstance(action, SyncSlots) and "feed" in action.drop for action in decide(view).actions)
    (problem,) = status_document(view)["matriarch"]["problems"]
    assert problem.startswith("slots.feed is not in force: ") and words in problem


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Feed", None, "lower case"),
        ("x" * 64, None, "63"),
        ("feed'; drop", {}, "lower case"),
        ("feed", 7, "object"),
        ("feed", {"type": "logical", "plugin": "pgoutput"}, "database"),
        ("feed", {"type": "logical", "database": "app"}, "plugin"),
        ("feed", {"database": "app\n", "plugin": "pgoutput"}, "database"),
        ("feed", {"type": "quantum"}, "physical or logical"),
        ("feed", {"type": "physical", "cluster_type": "both"}, "primary or standby"),
    ],
)
def test_a_slot_that_cannot_be_is_named_with_the_reason(name: str, value: Any, words: str) -> None:
    read = slots_from({"slots": {name: value, "good": None}})
    assert list(read.permanent) == ["good"] and words in read.problems[name[:63]]
    refusal = check_settings({"slots": {name: value}})
    assert refusal is not None and refusal.status == 400 and words in refusal.text


def test_the_settings_older_names_are_read() -> None:
    assert list(slots_from({"permanent_replication_slots": {"a": 0}}).permanent) == ["a"]
    assert list(slots_from({"slots": None, "permanent_slots": {"b": {}}}).permanent) == ["b"]
    assert slots_from({"slots": ["a"], "ignore_slots": "x"}) == slots_from({})
    assert check_settings({"slots": ["a"]}) is not None and check_settings({"ignore_slots": {}}) is not None


def test_members_slots_are_told_by_their_name() -> None:
    assert is_members("my_demo_12", "my-demo") and not is_members("demo_1x", "demo") and not is_members("demo_", "demo")
