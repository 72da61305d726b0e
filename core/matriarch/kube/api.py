"""The Kubernetes API as a port: what the agent, the operator and the simulator agree on.

Objects are plain JSON mappings. Every call has its own time budget in seconds; nothing is retried behind the caller's
back, since a repeated compare-and-swap would be a different question. Errors are those of `matriarch.words.errors`:
after `Unavailable` or `DeadlineSpent` the outcome of a write is unknown, after any other error nothing was written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from matriarch.words.facts import fact

Object = dict[str, Any]
JsonPatch = list[Object]
PatchType = Literal["merge", "json"]
Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type: `Kind("v1", "Endpoints", "endpoints")`. `group_version` is `v1` or `apps/v1`."""

    group_version: str
    name: str
    plural: str
    namespaced: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer to a list: the items and the resourceVersion to watch from."""

    items: tuple[Object, ...]
    version: str


@fact(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch. A BOOKMARK carries only `metadata.resourceVersion`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


class Kube(Protocol):
    """The verbs that Matriarch uses."""

    async def get(self, kind: Kind, namespace: str, name: str, *, timeout: float = 10.0) -> Object:
        """Read one object. Raises NotFound."""
        ...

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "", timeout: float = 30.0) -> Listing:
        """Read all objects of a kind (namespace None: all namespaces) that match a label selector."""
        ...

    def watch(
        self, kind: Kind, namespace: str | None, *, labels: str = "", version: str, idle_timeout: float = 75.0
    ) -> AsyncIterator[WatchEvent]:
        """Changes after `version`, bookmarks included. Ends when the server ends the stream.

        Raises Gone when the version is too old, Unavailable when nothing (no bookmark either) came for `idle_timeout`.
        """
        ...

    async def create(self, kind: Kind, namespace: str, body: Object, *, timeout: float = 10.0) -> Object:
        """Create an object. Raises AlreadyExists."""
        ...

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object | JsonPatch,
        *,
        patch_type: PatchType = "merge",
        subresource: str = "",
        timeout: float = 10.0,
    ) -> Object:
        """Merge-patch or JSON-patch. A merge patch with `metadata.resourceVersion` is a compare-and-swap: a stale
        version raises ConflictError."""
        ...

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object,
        *,
        manager: str,
        force: bool = True,
        subresource: str = "",
        timeout: float = 10.0,
    ) -> Object:
        """Server-side apply as `manager`. Creates what is missing."""
        ...

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        propagation: Propagation = "Background",
        preconditions: Mapping[str, str] | None = None,
        grace_period_s: int | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Delete an object; `preconditions` may carry `uid` and `resourceVersion`. Raises NotFound, ConflictError."""
        ...


ENDPOINTS = Kind("v1", "Endpoints", "endpoints")
PODS = Kind("v1", "Pod", "pods")
SERVICES = Kind("v1", "Service", "services")
SECRETS = Kind("v1", "Secret", "secrets")
CLAIMS = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SERVICE_ACCOUNTS = Kind("v1", "ServiceAccount", "serviceaccounts")
EVENTS = Kind("v1", "Event", "events")
ROLES = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDINGS = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
STATEFUL_SETS = Kind("apps/v1", "StatefulSet", "statefulsets")
BUDGETS = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
LEASES = Kind("coordination.k8s.io/v1", "Lease", "leases")
CLUSTERS = Kind("matriarch.dev/v1", "PostgresCluster", "postgresclusters")
