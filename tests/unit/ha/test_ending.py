"""A shutdown that no activity of this agent sees to."""

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, leading, primary, replica

from matriarch.ha.actions import Fence, StopPostgres
from matriarch.ha.decide import decide
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Activity, ConfigView, Memory

STOPPING = primary(process="stopping", in_recovery=None)


@pytest.mark.parametrize(
    "changes",
    [{}, {"api_ok": False}, {"memory": Memory(terminating=True)}],
    ids=["as it is", "without the API server", "in a pod that ends"],
)
def test_a_holder_makes_it_its_own_and_keeps_the_lock(changes: dict[str, Any]) -> None:
    """The agent that began it was killed, and it may hang: the stops of an agent have an end."""
    decision = decide(leading(postgres=STOPPING, **changes))
    assert (decision.actions, decision.reason, decision.lead) == ((StopPostgres(),), Reason.STOPPING, True)


def test_so_does_a_replica() -> None:
    decision = decide(a_view(postgres=replica(process="stopping")))
    assert (decision.actions, decision.lead) == ((StopPostgres(),), False)


def test_an_activity_sees_to_its_own_stop() -> None:
    own = decide(leading(postgres=STOPPING, activity=Activity("HandOver", NOW - 100)))
    assert (own.actions, own.reason) == ((), Reason.BUSY)


def test_in_a_pause_it_is_a_persons() -> None:
    """So it is while nobody knows of a pause."""
    for changes in ({"settings": ClusterSettings(pause=True)}, {"config": ConfigView(settings_seen=False)}):
        decision = decide(leading(postgres=STOPPING, **changes))
        assert (decision.actions, decision.lead) == ((), True)


def test_without_a_lease_nothing_is_waited_for() -> None:
    gone = leading(postgres=STOPPING, lease_until=NOW)
    assert decide(gone).actions == (Fence(),)
    assert decide(replace(gone, activity=Activity("StopPostgres", NOW - 1))).actions == (Fence(),)
    standby = a_view(postgres=replica(process="stopping"), activity=Activity("StopPostgres", NOW - 1))
    assert decide(standby).actions == ()
