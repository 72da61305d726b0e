"""Rules 1 and 2: no lease, not writable."""

import pytest
from unit.ha.views import NOW, a_view, leading, lock, primary, replica, stopped

from matriarch.ha.actions import Fence, StopPostgres
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, ConfigView


@pytest.mark.parametrize("lease_until", [None, NOW, NOW - 0.01])
@pytest.mark.parametrize("api_ok", [True, False])
@pytest.mark.parametrize("pause", [True, False])
def test_a_writable_member_without_a_lease_is_fenced(lease_until: float | None, api_ok: bool, pause: bool) -> None:
    view = leading(lease_until=lease_until, api_ok=api_ok, settings=ClusterSettings(pause=pause))
    decision = decide(view)
    assert decision.actions == (Fence(),)
    assert not decision.lead


def test_a_server_that_may_be_out_of_recovery_counts_as_writable() -> None:
    view = a_view(postgres=replica(process="starting", in_recovery=None))
    assert decide(view).actions == (Fence(),)


@pytest.mark.parametrize("name", ["Promote", "StartPrimary", "Bootstrap", "HandOver"])
def test_an_activity_that_makes_a_primary_is_broken_off_without_a_lease(name: str) -> None:
    view = a_view(activity=Activity(name, NOW - 1), postgres=replica())
    assert decide(view).actions == (Fence(),)


@pytest.mark.parametrize("name", ["Clone", "Rewind", "StartReplica"])
def test_other_activities_need_no_lease(name: str) -> None:
    view = a_view(activity=Activity(name, NOW - 1), postgres=stopped())
    assert decide(view).actions == ()


def test_the_lock_of_another_member_fences_a_primary() -> None:
    view = a_view(postgres=primary(), lock=lock("demo-0"))
    assert decide(view).reason == Reason.LEASE_LOST


def test_foreign_data_never_joins() -> None:
    config = ConfigView(True, "5", "1111111111111111111", ())
    assert decide(a_view(config=config)).actions == (StopPostgres(),)
    down = decide(a_view(config=config, postgres=stopped()))
    assert down.actions == ()
    assert down.reason == Reason.FOREIGN_DATA


def test_unreadable_data_allows_no_conclusion() -> None:
    decision = decide(leading(postgres=stopped(data="unknown", control=None)))
    assert decision.actions == ()
    assert decision.reason == Reason.DATA_UNREADABLE
    assert not decision.lead


def test_a_handover_that_has_stopped_postgres_may_end_its_lease_itself() -> None:
    releasing = leading(activity=Activity("HandOver", NOW - 1), postgres=stopped("shut down"), lease_until=None)
    assert decide(releasing).actions == ()


def test_no_disk_is_too_full_for_a_fence() -> None:
    """What is wrong with the volume is looked at only once nothing can be written (a trap of CloudNativePG's)."""
    for postgres in (primary(disk_free=0), replica(process="starting", in_recovery=None, disk_free=0, failures=3)):
        assert decide(leading(lease_until=NOW - 1, postgres=postgres)).actions == (Fence(),)
