"""A new copy of a member's data on a person's word: they ask for it when the present data is of no use."""

from dataclasses import replace

import pytest
from unit.ha.views import SYSID, a_view, leading, lock, member, members, replica, stopped

from matriarch.ha.actions import Clone
from matriarch.ha.decide import decide
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Memory, PostgresView, SyncView, Tags, Upstream, View

DEMO_0 = Upstream("demo-0", "10.0.0.0")
ASKED = Memory(reinitialize=True)


def wants(view: View) -> View:
    return replace(view, memory=replace(view.memory, reinitialize=True))


@pytest.mark.parametrize(
    "postgres",
    [
        replica(),
        replica(sysid=SYSID[::-1]),
        stopped("in archive recovery", sysid=SYSID[::-1]),
        stopped("shut down in recovery", failures=2),
        stopped("in production"),
        stopped(control=None),
        PostgresView(data="empty"),
    ],
    ids=["healthy", "foreign, running", "foreign", "does not start", "diverged", "damaged", "empty"],
)
def test_whatever_is_wrong_with_the_data(postgres: PostgresView) -> None:
    """"Reinitialize this member" is what the agent itself tells people for foreign and diverged data."""
    for settings in (ClusterSettings(), ClusterSettings(reclone_on_diverged=False), ClusterSettings(pause=True)):
        assert decide(wants(a_view(postgres=postgres, settings=settings))).actions == (Clone(DEMO_0),)


def test_not_from_a_leader_that_cannot_be_copied() -> None:
    starting = (member("demo-0", "replica", state="starting"), *members()[1:])
    for changes in ({"members": starting}, {"lock": lock(None)}, {"members": members()[1:]}):
        decision = decide(wants(a_view(postgres=stopped("in production"), **changes)))
        assert not any(isinstance(action, Clone) for action in decision.actions)


def test_a_disk_that_cannot_be_read_is_not_overwritten() -> None:
    decision = decide(wants(a_view(postgres=PostgresView(data="unknown"))))
    assert decision.actions == ()


def test_a_leader_is_not_copied_over() -> None:
    assert not any(isinstance(action, Clone) for action in decide(wants(leading())).actions)


def test_the_leader_is_the_source_when_that_is_asked_for() -> None:
    spare = member("demo-2", streaming=True, timeline=1, tags=Tags(clonefrom=True))
    three = (member("demo-0", "primary", timeline=1), member("demo-1"), spare)
    view = a_view(members=three, memory=ASKED, sync=SyncView("demo-0", ("demo-2",), 0, "9"))
    assert decide(view).actions == (Clone(Upstream("demo-2", "10.0.0.2")),)
    direct = replace(view, memory=replace(ASKED, reinitialize_from_leader=True))
    assert decide(direct).actions == (Clone(DEMO_0),)


def test_commits_are_let_go_first() -> None:
    view = wants(a_view())
    waiting = replace(view, memory=replace(view.memory, leaving_since=view.now - 0.5))
    assert decide(waiting).actions == ()
    let_go = replace(waiting, sync=SyncView("demo-0", ("demo-2",), 0, "10"))
    assert decide(let_go).actions == (Clone(DEMO_0),)
