"""Settings for copies of logical slots, and who keeps such copies."""

from matriarch.config.files import clean_auto_conf
from matriarch.config.logical import COPYING, gate
from matriarch.ha.slots import SlotSettings, copies_logical, slots_from
from matriarch.ha.tags import Tags

FEED = slots_from({"slots": {"feed": {"database": "app", "plugin": "pgoutput"}, "backup": None}})


def test_consumers_wait_for_the_slots_of_those_who_may_be_promoted() -> None:
    assert gate(("demo-2", "demo-1")) == {"synchronized_standby_slots": "demo_1, demo_2"}
    assert gate(()) == {"synchronized_standby_slots": ""}


def test_copies_are_kept_by_members_that_may_lead_and_stream_from_the_leader() -> None:
    assert copies_logical(FEED, Tags(), standby_cluster=False)
    assert not copies_logical(FEED, Tags(nofailover=True), standby_cluster=False)
    assert not copies_logical(FEED, Tags(replicatefrom="demo-2"), standby_cluster=False)
    assert not copies_logical(FEED, Tags(), standby_cluster=True)
    assert not copies_logical(SlotSettings(), Tags(), standby_cluster=False), "it would hold vacuum back for nothing"


def test_what_is_forced_is_taken_out_of_what_alter_system_wrote() -> None:
    """Among it what all members must agree on: a standby must not have less than its primary."""
    text = "# comment\nhot_standby_feedback = 'off'\nmax_connections = '5'\nwork_mem = '8MB'\nWAL_LEVEL = 'minimal'\n"
    assert clean_auto_conf(text, COPYING.keys()) == "# comment\nwork_mem = '8MB'\n"
    assert "hot_standby_feedback" in clean_auto_conf(text)
