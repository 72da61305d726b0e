"""Every label and annotation key, in one place."""

from __future__ import annotations

from collections.abc import Mapping

APPLICATION = "application"
APPLICATION_VALUE = "matriarch"
CLUSTER = "cluster-name"
ROLE = "role"

ROLE_PRIMARY = "primary"
ROLE_REPLICA = "replica"

GROUP = "matriarch.dev"
READS = f"{GROUP}/reads"
"""Label on a replica's pod, "true" while it serves reads: what the replicas' Service selects."""
STATUS = "status"
"""Annotation on a member's own pod (after Patroni)."""

WRITTEN = f"{GROUP}/written"
"""Annotation on the sync object: when it was last written, for people; it makes every write a new version."""

KEEP_ENDPOINTS = "control-plane.alpha.kubernetes.io/leader"
"""Annotation on every lock object but the lock itself (with it the lock's address would not be mirrored into an
EndpointSlice). The endpoints controller removes, whenever it starts, every Endpoints object that has no Service of its
name, unless it carries this. The sync object tells who may be promoted: losing it could lose acknowledged writes."""

CLAIM = f"{GROUP}/claim"
"""Annotation on the sync object: the standby that is about to take the lock of a silent leader. The leader meets it
when it wants to change its synchronous set, and renews the lock before it overrides it."""

REQUEST_SWITCHOVER = f"{GROUP}/switchover"
"""Annotation on a PostgresCluster: who shall lead; removed once handled."""
REFUSED = f"{GROUP}/refused"
"""Annotation on the failover object: why the leader gave the last request back; absent when it was carried out."""


def cluster_labels(cluster: str) -> dict[str, str]:
    """The exact label set of pods and of the four lock objects: discovery is by these (after Patroni)."""
    return {APPLICATION: APPLICATION_VALUE, CLUSTER: cluster}


def selector(labels: Mapping[str, str]) -> str:
    """A label selector as the API wants it in a query."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
