"""When kube-proxy applies a further change at once: after the last sync, which is not the last change."""

import pytest

from matriarch.ha.quiet import SYNC_S, at_once_from, in_time_for_a_sync


@pytest.mark.parametrize(
    ("changes", "last_sync"),
    [
        ((), float("-inf")),
        ((10.0,), 10.0),
        ((7.0, 10.0), 10.0),
        ((10.0, 10.05), 10.0 + SYNC_S),
        ((10.05, 10.0, 10.9), 10.0 + SYNC_S),
        ((9.3, 10.0), 9.3 + SYNC_S),
        ((9.0, 9.5, 10.2), 9.0 + 2 * SYNC_S),
    ],
    ids=[
        "nothing changed",
        "one change is applied at once",
        "the one before is long ago",
        "a renewal right after the deletion waits for the next sync",
        "what comes meanwhile is applied with it",
        "a deletion soon after a renewal waits too",
        "each sync begins a second of its own",
    ],
)
def test_a_change_is_applied_at_once_a_second_after_the_last_sync(changes: tuple[float, ...], last_sync: float) -> None:
    assert at_once_from(changes) == last_sync + SYNC_S


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ((), 10.0),
        ((10.0,), 10.6),
        ((9.8, 10.0), 10.4),
        ((9.5, 10.0), 10.1),
        ((9.3, 10.0), 11.0),
        ((8.95, 10.0), 10.65),
    ],
    ids=[
        "nothing changed",
        "the deletion alone: with the sync a second after it",
        "a renewal just before: with the sync that the deletion waits for",
        "that one is near",
        "it is too near: with the next",
        "the renewal is a second ago, and the deletion waits a moment",
    ],
)
def test_what_cannot_wait_for_a_quiet_moment_comes_with_a_sync(changes: tuple[float, ...], begin: float) -> None:
    assert in_time_for_a_sync(changes, 10.0, 0.5) == pytest.approx(begin)
