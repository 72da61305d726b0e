"""When kube-proxy applies a change at once, so that a planned handover reaches clients in moments.

kube-proxy applies the changes of all EndpointSlices together, at most once a second (its `minSyncPeriod`, 1 s by
default). A change that comes within that second waits for the end of it, and what is applied then begins a second of
its own. So a second without a change is not always enough: where two came within one second, as a renewal of the lock
beside the deletion of a pod, the latter is applied a second after the former, and the handover has to come a second
after that. Nobody waits meanwhile: the primary goes on serving.
"""

from __future__ import annotations

from collections.abc import Iterable

SYNC_S = 1.1
"""Seconds between two syncs of kube-proxy, and what it takes until a change has become one of a slice."""


def at_once_from(changes: Iterable[float]) -> float:
    """The moment from which a further change is applied at once, after those at the times `changes`."""
    synced = float("-inf")
    for change in sorted(changes):
        if change > synced:
            synced = max(change, synced + SYNC_S)
    return synced + SYNC_S
