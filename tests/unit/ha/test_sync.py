"""Rule 3: the order in which the sync object and synchronous_standby_names change."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from unit.ha.views import NAMES, NOW, a_view, leading, lock, member, primary, replica, standby, stopped

from matriarch.ha.actions import Promote, Restart, SetSyncNames, StartPrimary, StopPostgres, WriteSync
from matriarch.ha.decide import decide
from matriarch.ha.rules import standbys, sync
from matriarch.ha.rules.standbys import choose
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.tags import Tags
from matriarch.ha.view import Memory, SyncView, View
from matriarch.words.sync_names import BLOCKED, NOBODY, SyncNames, any_of, every


def with_sync(listed: tuple[str, ...], in_force: tuple[str, ...], *rows: Any, **more: Any) -> View:
    postgres = primary(sync_names=every(in_force), standbys=rows, **more)
    return leading(sync=SyncView("demo-1", listed, 0, "9"), postgres=postgres)


def test_a_settled_set_needs_nothing() -> None:
    assert sync.step(leading()) == ()


def test_a_new_standby_enters_the_setting_first() -> None:
    assert sync.step(with_sync((), (), standby("demo-0", "async"))) == (SetSyncNames(every(("demo-0",))),)


def test_it_enters_the_object_once_it_has_caught_up() -> None:
    behind = with_sync((), ("demo-0",), standby("demo-0", flush=999), sync_names_lsn=1000)
    assert sync.step(behind) == ()
    level = with_sync((), ("demo-0",), standby("demo-0", flush=1000), sync_names_lsn=1000)
    assert sync.step(level) == (WriteSync("demo-1", ("demo-0",), "9"),)


def test_a_lost_standby_leaves_the_object_first() -> None:
    assert sync.step(with_sync(("demo-0",), ("demo-0",))) == (WriteSync("demo-1", (), "9"),)
    assert sync.step(with_sync((), ("demo-0",))) == (SetSyncNames(NOBODY),)


def test_strict_mode_never_empties_the_setting() -> None:
    strict = ClusterSettings(synchronous_mode_strict=True)
    assert sync.step(replace(with_sync(("demo-0",), ("demo-0",)), settings=strict)) == ()
    assert sync.step(replace(with_sync((), ()), settings=strict)) == (SetSyncNames(BLOCKED),)


def test_a_promise_that_postgres_does_not_keep_is_taken_back() -> None:
    assert sync.step(with_sync(("demo-0",), (), standby("demo-0", "async"))) == (WriteSync("demo-1", (), "9"),)


def test_the_object_says_nobody_else_before_a_promotion() -> None:
    view = leading(postgres=replica(), sync=SyncView("demo-0", ("demo-1",), 0, "9"))
    assert decide(view).actions == (WriteSync("demo-1", (), "9"), Promote())
    ready = replace(view, sync=SyncView("demo-1", (), 0, "10"))
    assert decide(ready).actions == (WriteSync("demo-1", (), "10"), Promote()), "what is read may be old"


def test_switching_it_off_empties_the_object_first() -> None:
    view = replace(leading(), settings=ClusterSettings(synchronous_mode="off"))
    assert sync.step(view) == (WriteSync(None, (), "9"), SetSyncNames(NOBODY))


def test_a_restarted_primary_starts_with_the_listed_standbys() -> None:
    assert sync.start_primary(leading()) == StartPrimary(every(("demo-0",)))
    sure = replace(a_view(), memory=Memory(sync_written="9"))
    assert sync.start_primary(sure) == StartPrimary()


def test_after_a_write_without_an_answer_no_name_is_dropped_before_one_with() -> None:
    unsure = replace(with_sync((), ("demo-0",)), memory=Memory())
    assert sync.step(unsure) == (WriteSync("demo-1", (), "9"),)
    assert sync.certain(unsure) == (WriteSync("demo-1", (), "9"),)
    assert sync.start_primary_blindly(unsure) == StartPrimary(BLOCKED)


def test_an_object_that_is_not_what_was_last_written_is_written_before_a_name_is_dropped() -> None:
    """A listing that came late shows the object of long ago; it was this one that listed nobody."""
    late = replace(with_sync((), ("demo-0",)), memory=Memory(sync_written="10"))
    assert sync.step(late) == (WriteSync("demo-1", (), "9"),), "which fails, or makes it true"
    assert sync.certain(late) == (WriteSync("demo-1", (), "9"),)
    assert sync.start_primary_blindly(late) == StartPrimary(BLOCKED)
    written = replace(late, memory=Memory(sync_written="9"))
    assert sync.step(written) == (SetSyncNames(NOBODY),)


QUORUM = ClusterSettings(synchronous_mode="quorum")
BOTH = ("demo-0", "demo-2")


def quorum_view(listed: tuple[str, ...], quorum: int, in_force: SyncNames, *rows: Any, **more: Any) -> View:
    postgres = primary(sync_names=in_force, standbys=rows, **more)
    return leading(settings=QUORUM, sync=SyncView("demo-1", listed, quorum, "9"), postgres=postgres)


def test_quorum_mode_names_everybody_and_counts() -> None:
    rows = (standby("demo-0", "async"), standby("demo-2", "async"))
    assert sync.step(quorum_view((), 0, NOBODY, *rows)) == (SetSyncNames(any_of(1, BOTH)),)
    rows = (standby("demo-0", "quorum"), standby("demo-2", "quorum"))
    assert sync.step(quorum_view((), 0, any_of(1, BOTH), *rows)) == (WriteSync("demo-1", BOTH, "9", 1),)
    assert sync.step(quorum_view(BOTH, 1, any_of(1, BOTH), *rows)) == ()


def test_a_walsender_that_does_not_know_yet_is_not_counted_on() -> None:
    rows = (standby("demo-0", "async"), standby("demo-2", "quorum"))
    assert sync.step(quorum_view((), 0, any_of(1, BOTH), *rows)) == ()


def test_quorum_mode_takes_those_that_may_not_lead_only_to_fill_up() -> None:
    tagged = tuple(
        member(name, "primary" if name == "demo-1" else "replica", tags=Tags(nofailover=name == "demo-0"))
        for name in NAMES
    )
    rows = (standby("demo-0", "async"), standby("demo-2", "async"))
    one = replace(quorum_view((), 0, NOBODY, *rows), members=tagged)
    assert choose(one) == {"demo-2"}
    two = replace(one, settings=replace(QUORUM, synchronous_node_count=2))
    assert choose(two) == set(BOTH)
    priority = replace(one, settings=ClusterSettings())
    assert choose(priority) == {"demo-2"}, "a second copy with which nobody could take over is the last resort"
    alone = replace(priority, postgres=primary(standbys=rows[:1]))
    assert choose(alone) == {"demo-0"}


def test_a_change_of_the_mode_goes_by_safe_steps() -> None:
    rows = (standby("demo-0"), standby("demo-2", "async"))
    view = quorum_view(("demo-0",), 0, every(("demo-0",)), *rows)
    assert sync.step(view) == (WriteSync("demo-1", BOTH, "9", 1),)
    view = quorum_view(BOTH, 1, every(("demo-0",)), *rows)
    assert sync.step(view) == (SetSyncNames(any_of(1, BOTH)),)
    rows = (standby("demo-0", "quorum"), standby("demo-2", "quorum"))
    back = replace(quorum_view(BOTH, 1, any_of(1, BOTH), *rows), settings=ClusterSettings())
    assert sync.step(back) == (SetSyncNames(every(("demo-0",))),)
    alike = replace(quorum_view(BOTH, 0, any_of(2, BOTH), *rows), settings=ClusterSettings(synchronous_node_count=2))
    assert sync.step(alike) == (SetSyncNames(every(BOTH)),), "all of them, in the words of the mode"


def test_names_that_may_not_be_in_force_everywhere_are_put_in_force_again() -> None:
    view = quorum_view(BOTH, 1, any_of(1, BOTH), standby("demo-0", "quorum"), sync_names_sure=False)
    assert sync.step(view) == (SetSyncNames(any_of(1, BOTH)),)


def test_a_restart_in_quorum_mode_waits_for_as_many_as_the_object_asks_for() -> None:
    view = quorum_view(("demo-0", "demo-2", "demo-3"), 1, any_of(2, BOTH))
    assert sync.start_primary(view) == StartPrimary(any_of(2, ("demo-0", "demo-2", "demo-3")))


def test_strict_mode_acknowledges_nothing_from_the_first_moment_after_a_promotion() -> None:
    strict = ClusterSettings(synchronous_mode_strict=True)
    view = leading(settings=strict, postgres=replica(), sync=SyncView("demo-0", ("demo-1",), 0, "9"))
    assert sync.promotion(view) == (WriteSync("demo-1", (), "9"), SetSyncNames(BLOCKED), Promote())
    stopped = replace(view, sync=SyncView("demo-1", (), 0, "9"), memory=Memory(sync_written="9"))
    assert sync.start_primary(stopped) == StartPrimary(BLOCKED)


def test_beside_others_a_standby_is_measured_by_the_best_of_them() -> None:
    lagging = ClusterSettings(synchronous_mode="quorum", maximum_lag_on_syncnode=100)
    rows = (standby("demo-0", flush=900), standby("demo-2", flush=700))
    view = replace(quorum_view((), 0, NOBODY, *rows), settings=lagging)
    view = replace(view, postgres=replace(view.postgres, lsn=5000))
    assert choose(view) == {"demo-0"}
    assert choose(replace(view, postgres=replace(view.postgres, standbys=rows[:1]))) == frozenset()


names = st.sets(st.sampled_from([n for n in NAMES if n != "demo-1"])).map(lambda s: tuple(sorted(s)))
rows = st.builds(
    standby, st.sampled_from(["demo-0", "demo-2"]), st.sampled_from(["sync", "async"]), st.integers(990, 1010)
)


@given(listed=names, extra=names, found=st.lists(rows, max_size=2, unique_by=lambda r: r.name), count=st.integers(1, 2))
def test_every_interrupted_step_keeps_the_invariant(
    listed: tuple[str, ...], extra: tuple[str, ...], found: list[Any], count: int
) -> None:
    """Whoever is listed is in force, after each single action of each step, until nothing is left to do."""
    in_force = tuple(sorted(set(listed) | set(extra)))
    view = replace(
        with_sync(listed, in_force, *found, sync_names_lsn=1000),
        settings=ClusterSettings(synchronous_node_count=count),
    )
    for _ in range(8):
        actions = sync.step(view)
        if not actions:
            return
        for action in actions:
            match action:
                case WriteSync(leader, standbys, _, quorum):
                    sure = replace(view.memory, sync_written="x")
                    view = replace(view, sync=SyncView(leader, standbys, quorum, "x"), memory=sure)
                case SetSyncNames(chosen):
                    view = replace(view, postgres=replace(view.postgres, sync_names=chosen, sync_names_lsn=1000))
            names = view.postgres.sync_names
            assert names is not None and view.sync.quorum == 0
            assert set(view.sync.standbys) <= set(names.names) and names.count == len(names.names)
    raise AssertionError("the synchronous set does not settle")


def test_the_primary_never_counts_itself_among_its_standbys() -> None:
    """Something that streams under the primary's own name, a backup tool say, is no standby (a trap of Patroni's)."""
    assert standbys.choose(with_sync((), (), standby("demo-1", "async"))) == frozenset()


def test_a_stranger_that_streams_is_no_standby() -> None:
    assert standbys.choose(with_sync((), (), standby("pg_receivewal", "async"))) == frozenset()


def test_a_standby_that_may_never_lead_is_relied_on_only_when_nobody_else_is_there() -> None:
    """Were it the only one listed, the loss of the primary would end in no failover at all."""
    tagged = (member("demo-0", tags=Tags(nofailover=True)), member("demo-1", "primary"), member("demo-2"))
    both = with_sync(("demo-0",), ("demo-0",), standby("demo-0"), standby("demo-2", "async"))
    assert standbys.choose(replace(both, members=tagged)) == {"demo-2"}
    alone = with_sync(("demo-0",), ("demo-0",), standby("demo-0"))
    assert standbys.choose(replace(alone, members=tagged)) == {"demo-0"}


def leaving(since: float | None = 0.3, **changes: Any) -> View:
    memory = replace(a_view().memory, terminating=True, leaving_since=None if since is None else NOW - since)
    return a_view(memory=memory, **changes)


def test_a_synchronous_standby_lets_commits_go_before_it_stops() -> None:
    """A standby that just goes leaves every commit waiting until the primary has noticed."""
    assert decide(leaving()).actions == ()
    assert decide(leaving(sync=SyncView("demo-0", ("demo-2",), 0, "10"))).actions == (StopPostgres(),)
    restart = leaving()
    restart = replace(restart, memory=replace(restart.memory, terminating=False, restart=True))
    assert decide(restart).actions == ()
    free = replace(restart, sync=SyncView("demo-0", (), 0, "10"))
    assert any(isinstance(action, Restart) for action in decide(free).actions)


def test_it_does_not_wait_for_a_primary_that_cannot_or_will_not_let_it_go() -> None:
    """In strict mode, or with the API server away, the primary goes on naming it."""
    assert decide(leaving(since=sync.LEAVE_S + 0.1)).actions == (StopPostgres(),)
    assert decide(leaving(lock=lock(None))).actions == (StopPostgres(),)
    assert not sync.relied_on(leaving(api_ok=False))


OFF = ClusterSettings(synchronous_mode="off")


def test_a_start_without_synchronous_mode_keeps_the_promise_that_the_object_still_makes() -> None:
    """The mode may be switched on again before the object is emptied; whoever it lists would then take over early."""
    view = leading(postgres=stopped(), settings=OFF, sync=SyncView("demo-1", ("demo-2",), 0, "9"))
    assert decide(view).actions == (StartPrimary(every(("demo-2",))),)


def test_a_start_without_synchronous_mode_empties_another_leader_s_object_first() -> None:
    view = leading(postgres=stopped(), settings=OFF, sync=SyncView("demo-0", ("demo-2",), 0, "9"))
    assert decide(view).actions == (WriteSync(None, (), "9"), StartPrimary())
    alone = replace(view, api_ok=False)
    assert StartPrimary(BLOCKED) in decide(alone).actions, "while it cannot be emptied nothing is acknowledged"


def test_a_member_that_is_gone_leaves_the_sync_object_also_in_a_pause() -> None:
    """Removed or renamed: a name that nobody bears any more must not be what a failover, or a commit, counts on."""
    gone = tuple(one for one in leading().members if one.name != "demo-0")
    view = replace(with_sync(("demo-0",), ("demo-0",), standby("demo-2")), members=gone)
    for settings in (ClusterSettings(), ClusterSettings(pause=True)):
        assert WriteSync("demo-1", (), "9") in decide(replace(view, settings=settings)).actions
