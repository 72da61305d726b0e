"""Tells the cluster about this member: the role label and the `status` annotation on its own pod.

At most once per `loop_wait`, except when something that others act on changed: the API server is not a place for
positions that move all the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from matriarch.ha.documents.status import status_document
from matriarch.ha.documents.vocabulary import member_labels
from matriarch.ha.documents.wire import encode
from matriarch.ha.view import Me, View
from matriarch.kube.api import Object
from matriarch.words import labels
from matriarch.words.errors import MatriarchError
from matriarch_agent.jobs import Jobs
from matriarch_agent.journal import Log
from matriarch_agent.ports import Now
from matriarch_agent.store import ClusterStore

MOVING = frozenset({"xlog_location", "replay_lsn", "receive_lsn"})
"""Keys whose change alone is not worth a write out of turn."""

EARLY_S = 0.3
"""Seconds by which a write may come before its time, so that it does not cost a look of its own."""
AGAIN_S = 0.5
"""Seconds after a write that failed in which none is tried."""
QUIET_S = 1.2
"""Seconds after a move of the lock in which no role label is given: a label changes the EndpointSlice of the replicas'
Service, kube-proxy applies at most one change a second, and the first has to be the primary's new address."""


class Publisher:
    """Writes the pod's label and annotation when they differ from what the pod shows."""

    def __init__(self, store: ClusterStore, me: Me, now: Now, wake: Callable[[], None], log: Log, jobs: Jobs) -> None:
        self._store, self._me, self._now, self._wake, self._log, self._jobs = store, me, now, wake, log, jobs
        self._written_at = self._failed_at = -1e9
        self._busy = self._passed_over = False
        self.last_label_change = -1e9

    def publish(self, view: View) -> float:
        """Start a write when one is due; never waits for it. Returns the seconds until one will be due; for ever when
        nothing is left to tell."""
        pod = self._store.pod()
        if self._busy:
            self._passed_over = True
        if pod is None or self._busy or not view.api_ok:
            return math.inf
        again = self._failed_at + AGAIN_S - self._now()
        if again > 0:
            return again
        body, due_in = self._difference(pod, view)
        if body is not None:
            self._busy = True
            self._jobs.aside(self._write(body), "publish")
        return due_in

    def _difference(self, pod: Object, view: View) -> tuple[Object | None, float]:
        """What to write now, and in how many seconds there will be more."""
        wanted = status_document(view)
        present = self._store.own_status()
        metadata: dict[str, Any] = {}
        due_in = math.inf
        role = member_labels(view)
        shown = (pod.get("metadata") or {}).get("labels") or {}
        if any(shown.get(key) != value for key, value in role.items()):
            quiet_for = view.memory.lock_moved_at + QUIET_S - self._now()
            if role[labels.ROLE] is None or quiet_for <= 0:
                metadata["labels"] = role
            else:
                due_in = quiet_for
        changed = {key for key in wanted.keys() | present.keys() if wanted.get(key) != present.get(key)}
        early = self._written_at + view.settings.loop_wait - self._now()
        if changed and (early <= EARLY_S or changed - MOVING):
            metadata["annotations"] = {labels.STATUS: encode(wanted)}
        elif changed:
            due_in = min(due_in, early)
        return ({"metadata": metadata} if metadata else None), due_in

    async def _write(self, body: Object) -> None:
        began = self._now()
        try:
            await self._store.patch_pod(body, timeout=2.0)
            self._written_at = began
            if "labels" in body["metadata"]:
                self.last_label_change = self._now()
        except MatriarchError as error:
            self._failed_at = self._now()
            self._passed_over = True
            self._log("own pod not updated", error=str(error))
        finally:
            self._busy = False
            if self._passed_over:
                self._passed_over = False
                self._wake()
