"""WAL that a former primary had finished and not archived: what comes before what, and who waits for it."""

from dataclasses import replace

import pytest
from unit.ha.views import NOW, RECORDED, SYSID, a_view, leading, lock, poll, remote, replica, stopped

from matriarch.ha.actions import ArchiveWal, BreakOff, Clone, Fence, Follow, Release, Rewind, StartPrimary, StartReplica
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.archive import AGAIN_S
from matriarch.ha.view import Activity, ControlData, Memory, PostgresView, Upstream, View

DEMO_0 = Upstream("demo-0", "10.0.0.0")
CLOSING = replace(
    stopped("shut down", process="stopping"), control=ControlData("shut down", SYSID, 1, 900, 1000, was_primary=True)
)


def crashed(unarchived: int = 3, **more: object) -> View:
    """demo-1 led, died, and finds that its data diverged from demo-0's."""
    memory = Memory(remote=remote(t1=10), **more)  # type: ignore[arg-type]
    return a_view(postgres=stopped(unarchived=unarchived), config=RECORDED, memory=memory)


def test_the_archive_comes_before_a_rewind_and_once() -> None:
    first = decide(crashed())
    assert (first.actions, first.reason) == ((ArchiveWal(),), Reason.ARCHIVING)
    assert first.facts.startswith("3 finished WAL files are not archived; data diverged")
    assert decide(crashed(unarchived=0)).actions == (Rewind(DEMO_0),)
    tried = decide(crashed(archive_tried_at=NOW - 1, archive_complaint="status 1"))
    assert tried.actions == (Rewind(DEMO_0),) and tried.facts.endswith("not archived: status 1")
    assert decide(crashed(archive_tried_at=NOW - AGAIN_S - 1)).actions == (ArchiveWal(),)


def test_the_archive_comes_before_a_copy_also_one_that_a_person_asks_for() -> None:
    assert decide(crashed(rewind_failed=True)).actions == (ArchiveWal(),)
    assert decide(crashed(rewind_failed=True, archive_tried_at=NOW - 1)).actions == (Clone(DEMO_0),)
    assert decide(crashed(reinitialize=True)).actions == (ArchiveWal(),)


def test_a_former_primary_that_need_not_be_rewound_follows_at_once_and_archives_beside() -> None:
    down = replace(crashed(), postgres=stopped("shut down", unarchived=1), memory=Memory(remote=remote(t1=1000)))
    assert decide(down).actions == (StartReplica(DEMO_0),)
    up = a_view(postgres=replica(unarchived=1))
    assert decide(up).actions[-1] == ArchiveWal(aside=True)
    moved = replace(up, memory=replace(up.memory, followed_epoch=2, remote=remote(t1=1000)), config=RECORDED)
    assert decide(moved).actions == (Follow(DEMO_0), ArchiveWal(aside=True))
    assert ArchiveWal(aside=True) not in decide(replace(up, activity=Activity("Restart", NOW))).actions


def test_a_primary_archives_by_itself() -> None:
    assert decide(leading(postgres=stopped(unarchived=3))).actions[-1:] == (StartPrimary(leading_names()),)


def leading_names() -> object:
    return decide(leading(postgres=stopped())).actions[-1].sync_names  # type: ignore[union-attr]


def test_data_of_another_cluster_goes_to_no_archive_of_this_one() -> None:
    foreign = crashed(reinitialize=True)
    foreign = replace(foreign, postgres=replace(foreign.postgres, sysid="7000000000000000001"))
    assert decide(foreign).actions == (Clone(DEMO_0),)


def test_nobody_waits_for_the_archive_when_somebody_has_to_lead() -> None:
    busy = replace(crashed(), activity=Activity("ArchiveWal", NOW - 5))
    assert decide(busy).actions == ()
    leaderless = replace(busy, lock=lock(None))
    assert decide(leaderless).actions == (BreakOff(),)
    assert decide(replace(leaderless, activity=None, poll=poll())).actions == (StartReplica(None),)


@pytest.mark.parametrize("postgres", [CLOSING, replace(CLOSING, process="stopped")])
def test_a_handover_whose_wal_has_ended_is_not_fenced_because_it_gave_the_lock_up(postgres: PostgresView) -> None:
    """Its archiver still works, or a walsender waits for its standby; nothing can be committed there any more."""
    released = leading(lock=lock(None), lease_until=None, postgres=postgres, activity=Activity("HandOver", NOW - 2))
    assert decide(released).reason == Reason.BUSY
    assert not postgres.writable or postgres.process == "stopped"


def test_a_shutdown_that_nobody_sees_to_any_more_is_ended() -> None:
    """The agent was started anew meanwhile. Its archiver may hang for ever, and the member is to come back."""
    alone = leading(lock=lock("demo-0"), lease_until=None, postgres=CLOSING)
    assert decide(alone).actions == (Fence(),)


def test_a_handover_whose_wal_has_not_ended_is_fenced_without_a_lease() -> None:
    postgres = replace(CLOSING, control=ControlData("in production", SYSID, 1, 900, None, was_primary=True))
    lost = leading(lock=lock(None), lease_until=None, postgres=postgres, activity=Activity("HandOver", NOW - 2))
    assert decide(lost).reason == Reason.LEASE_LOST
    assert not any(isinstance(action, Release) for action in decide(lost).actions)
