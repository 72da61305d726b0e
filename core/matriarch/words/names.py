"""Every object name that is derived from a cluster's name, in one place."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_CLUSTER_NAME = 44
"""Characters. The tightest derived limits: 63 for `<cluster>-<ordinal>` as a host name and for labels that carry
`<statefulset>-<hash>`; 63 for Service names. 44 leaves room for every suffix below and for two-digit ordinals."""

MAX_POD_NAME = 253

CLUSTER_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A cluster's name is also its primary Service's name, so RFC 1035 applies: it starts with a letter."""

POSTGRES_PORT = 5432
REST_PORT = 8008
PROBES_PORT = 8009
"""For the kubelet alone, where the REST API lets nobody in without a certificate."""
PORT_NAME = "postgresql"
"""The Service port and the Endpoints port must carry the same name: kube-proxy silently drops the rule otherwise."""


def primary_service(cluster: str) -> str:
    """Service whose Endpoints object is the lock."""
    return cluster


def replicas_service(cluster: str) -> str:
    """Service that selects replicas by the role label."""
    return f"{cluster}-ro"


def any_service(cluster: str) -> str:
    """Service that selects any ready member."""
    return f"{cluster}-r"


def pods_service(cluster: str) -> str:
    """Headless Service that gives pods their DNS names."""
    return f"{cluster}-pods"


def lock_object(cluster: str) -> str:
    """Endpoints object that carries the lock."""
    return cluster


def config_object(cluster: str) -> str:
    """Endpoints object (and headless Service) with cluster settings, `initialize` and history."""
    return f"{cluster}-config"


def failover_object(cluster: str) -> str:
    """Endpoints object with the pending switchover or failover request."""
    return f"{cluster}-failover"


def sync_object(cluster: str) -> str:
    """Endpoints object that tells who is synchronous."""
    return f"{cluster}-sync"


def lock_object_names(cluster: str) -> tuple[str, ...]:
    """The four lock objects; the lock itself last, so that what goes by this order removes it last."""
    return (failover_object(cluster), sync_object(cluster), config_object(cluster), lock_object(cluster))


def member_name(cluster: str, ordinal: int) -> str:
    """A member's name is its pod's name."""
    return f"{cluster}-{ordinal}"


def app_secret(cluster: str) -> str:
    """Secret for applications."""
    return f"{cluster}-app"


def superuser_secret(cluster: str) -> str:
    """Secret of the superuser."""
    return f"{cluster}-superuser"


def replication_secret(cluster: str) -> str:
    """Secret of the replication role."""
    return f"{cluster}-replication"


_SLOT_SAFE = re.compile(r"[a-z0-9_]")


@lru_cache(maxsize=1024)
def slot_name(member: str) -> str:
    """A member's replication slot: lower case, `-` and `.` become `_`, other characters `uNNNN`, at most 63
    characters (Patroni's rule, so that a mixed cluster agrees)."""

    def one(char: str) -> str:
        if _SLOT_SAFE.match(char):
            return char
        return "_" if char in "-." else f"u{ord(char):04d}"

    return "".join(one(char) for char in member.lower())[:63]
