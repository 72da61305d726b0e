"""Rule 3: the order in which the sync object and synchronous_standby_names change."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from unit.ha.views import NAMES, a_view, leading, primary, replica, standby

from matriarch.ha.actions import Promote, SetSyncNames, StartPrimary, WriteSync
from matriarch.ha.decide import decide
from matriarch.ha.rules import sync
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Memory, SyncView, View


def with_sync(listed: tuple[str, ...], in_force: tuple[str, ...], *rows: Any, **more: Any) -> View:
    postgres = primary(sync_names=in_force, standbys=rows, **more)
    return leading(sync=SyncView("demo-1", listed, 0, "9"), postgres=postgres)


def test_a_settled_set_needs_nothing() -> None:
    assert sync.step(leading()) == ()


def test_a_new_standby_enters_the_setting_first() -> None:
    assert sync.step(with_sync((), (), standby("demo-0", "async"))) == (SetSyncNames(("demo-0",)),)


def test_it_enters_the_object_once_it_has_caught_up() -> None:
    behind = with_sync((), ("demo-0",), standby("demo-0", flush=999), sync_names_lsn=1000)
    assert sync.step(behind) == ()
    level = with_sync((), ("demo-0",), standby("demo-0", flush=1000), sync_names_lsn=1000)
    assert sync.step(level) == (WriteSync("demo-1", ("demo-0",), "9"),)


def test_a_lost_standby_leaves_the_object_first() -> None:
    assert sync.step(with_sync(("demo-0",), ("demo-0",))) == (WriteSync("demo-1", (), "9"),)
    assert sync.step(with_sync((), ("demo-0",))) == (SetSyncNames(()),)


def test_strict_mode_never_empties_the_setting() -> None:
    strict = ClusterSettings(synchronous_mode_strict=True)
    assert sync.step(replace(with_sync(("demo-0",), ("demo-0",)), settings=strict)) == ()
    assert sync.step(replace(with_sync((), ()), settings=strict)) == (SetSyncNames((), strict=True),)


def test_a_promise_that_postgres_does_not_keep_is_taken_back() -> None:
    assert sync.step(with_sync(("demo-0",), (), standby("demo-0", "async"))) == (WriteSync("demo-1", (), "9"),)


def test_the_object_says_nobody_else_before_a_promotion() -> None:
    view = leading(postgres=replica(), sync=SyncView("demo-0", ("demo-1",), 0, "9"))
    assert decide(view).actions == (WriteSync("demo-1", (), "9"), Promote())
    ready = replace(view, sync=SyncView("demo-1", (), 0, "10"))
    assert decide(ready).actions == (Promote(),)


def test_switching_it_off_empties_the_object_first() -> None:
    view = replace(leading(), settings=ClusterSettings(synchronous_mode="off"))
    assert sync.step(view) == (WriteSync(None, (), "9"), SetSyncNames(()))


def test_a_restarted_primary_starts_with_the_listed_standbys() -> None:
    assert sync.start_primary(leading()) == StartPrimary(("demo-0",), False)
    sure = replace(a_view(), memory=Memory(sync_unsure=False))
    assert sync.start_primary(sure) == StartPrimary((), False)


def test_after_a_write_without_an_answer_no_name_is_dropped_before_one_with() -> None:
    unsure = replace(with_sync((), ("demo-0",)), memory=Memory(sync_unsure=True))
    assert sync.step(unsure) == (WriteSync("demo-1", (), "9"),)
    assert sync.certain(unsure) == (WriteSync("demo-1", (), "9"),)
    assert sync.start_primary_blindly(unsure) == StartPrimary((), strict=True)


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
                case WriteSync(leader, standbys, _):
                    sure = replace(view.memory, sync_unsure=False)
                    view = replace(view, sync=SyncView(leader, standbys, 0, "x"), memory=sure)
                case SetSyncNames(chosen, _):
                    view = replace(view, postgres=replace(view.postgres, sync_names=chosen, sync_names_lsn=1000))
            assert set(view.sync.standbys) <= set(view.postgres.sync_names or ())
    raise AssertionError("the synchronous set does not settle")
