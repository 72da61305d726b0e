"""kopf's settings: it watches our own kind and calls us; it writes nothing (see the notes at each setting)."""

from __future__ import annotations

import kopf

from matriarch.words import labels


def apply(settings: kopf.OperatorSettings) -> None:
    """Sets everything that differs from kopf's defaults."""
    settings.peering.standalone = True  # a Lease elects the active process; peering is not a lock
    settings.posting.enabled = False  # our recorder writes events
    settings.scanning.disabled = True  # no watch on CRDs and namespaces; the CRD exists before we start
    # Nothing of this is used by `on.event`. If somebody adds another handler, it must not write kopf's names.
    settings.persistence.finalizer = f"{labels.GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=labels.GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=labels.GROUP)
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = [0.5, 1, 2, 3, 5, 8]
    settings.networking.enforce_retry_after = True
    settings.queueing.idle_timeout = 0.5  # a task per recently touched object, no longer than needed
    # settings.queueing.worker_limit stays None: with a limit, kopf's workers wait for each other.
