"""When kube-proxy applies a change at once, so that a planned handover reaches clients in moments.

kube-proxy applies the changes of all EndpointSlices together, at most once a second (its `minSyncPeriod`, 1 s by
default). A change that comes within that second waits for the end of it, and what is applied then begins a second of
its own. So a second without a change is not always enough: where two came within one second, as a renewal of the lock
beside the deletion of a pod, the latter is applied a second after the former, and the handover has to come a second
after that. Nobody waits meanwhile: the primary goes on serving. A member that has not so much time left hands over in
time for a sync that is due.
"""

from __future__ import annotations

from collections.abc import Iterable

SYNC_S = 1.1
"""Seconds between two syncs of kube-proxy, and what it takes until a change has become one of a slice."""


def at_once_from(changes: Iterable[float]) -> float:
    """The moment from which a further change is applied at once, after those at the times `changes`."""
    return _last_sync(changes) + SYNC_S


def in_time_for_a_sync(changes: Iterable[float], now: float, ahead: float) -> float:
    """When to begin what changes a slice `ahead` seconds later, so that it is applied then: with the sync that is due
    for the last of `changes` already, where that can still be reached, or else with the one after it."""
    due = _last_sync(changes)
    return max(now, (due if due - ahead >= now else due + SYNC_S) - ahead)


def _last_sync(changes: Iterable[float]) -> float:
    """When the last of these changes is applied; it may be ahead."""
    synced = float("-inf")
    for change in sorted(changes):
        if change > synced:
            synced = max(change, synced + SYNC_S)
    return synced
