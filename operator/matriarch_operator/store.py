"""What the operator has seen: PostgresClusters, and their objects by cluster. Watches and our own writes fill it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from matriarch.fleet.member import read_member
from matriarch.fleet.view import Key
from matriarch.kube.api import Kind, Object
from matriarch.words import labels

ClusterKey = tuple[str, str]
"""Namespace and name of a PostgresCluster."""

FOREIGN_FOR_S = 30.0
"""Seconds for which a name counts as taken by somebody else before it is looked at again."""

_HEARTBEAT = frozenset({"renewTime", "optime", "slots", "retain_slots"})
"""Annotations of the lock that change with every renewal and tell the operator nothing."""
_VERSIONS = frozenset({"resourceVersion", "managedFields"})


class Store:
    """One per process. `wake` is called with a cluster's key whenever something of it changed; `asked` instead when a
    person changed what they ask for, and `moved` when only figures moved that a look shows and nothing waits for."""

    def __init__(
        self,
        wake: Callable[[ClusterKey], None],
        asked: Callable[[ClusterKey], None] | None = None,
        moved: Callable[[ClusterKey], None] = lambda _: None,
    ) -> None:
        self._wake = wake
        self._asked = asked or wake
        self._moved = moved
        self._clusters: dict[ClusterKey, Object] = {}
        self._children: dict[ClusterKey, dict[Key, Object]] = {}
        self._foreign: dict[ClusterKey, dict[Key, float]] = {}

    @property
    def clusters(self) -> Mapping[ClusterKey, Object]:
        """Every PostgresCluster that is known."""
        return self._clusters

    def put_cluster(self, resource: Object) -> None:
        """A PostgresCluster as the API server showed it; an older version than the known one is ignored."""
        key = (resource["metadata"]["namespace"], resource["metadata"]["name"])
        known = self._clusters.get(key)
        if known is None or _newer(resource, known):
            self._clusters[key] = resource
            same = known is not None and _asked_for(known) == _asked_for(resource)
            (self._wake if same else self._asked)(key)

    def drop_cluster(self, key: ClusterKey, uid: str = "") -> None:
        """A PostgresCluster that does not exist any more; with `uid` exactly that one, and not its successor."""
        known = self._clusters.get(key)
        if known is not None and uid in ("", known["metadata"]["uid"]):
            del self._clusters[key]
            self._foreign.pop(key, None)
            self._asked(key)

    def child_changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """A watch saw an object of a cluster appear, change or disappear."""
        before, after = (_owner(one) if one is not None else None for one in (old, new))
        if old is not None and before is not None and before != after:
            known = self._children.get(before, {}).get((kind.name, old["metadata"]["name"]))
            if known is None or known["metadata"].get("uid") == old["metadata"].get("uid"):
                self._put(before, (kind.name, old["metadata"]["name"]), None)
            self._wake(before)
        if new is not None and after is not None:
            self.put_child(after, kind, new)
            if old is None or before != after or _telling(kind, old, new):
                self._wake(after)
            elif kind.name == "Pod":
                self._moved(after)

    def put_child(self, key: ClusterKey, kind: Kind, found: Object) -> None:
        """What a watch or our own write showed; an older version than the known one is ignored."""
        known = self._children.get(key, {}).get((kind.name, found["metadata"]["name"]))
        if known is None or _newer(found, known):
            self._put(key, (kind.name, found["metadata"]["name"]), found)

    def drop_child(self, key: ClusterKey, kind: Kind, name: str) -> None:
        """What our own write found missing."""
        self._put(key, (kind.name, name), None)

    def children(self, key: ClusterKey) -> Mapping[Key, Object]:
        """A copy of the index: the view of one moment."""
        return dict(self._children.get(key, {}))

    def mark_foreign(self, key: ClusterKey, taken: Key) -> None:
        """The name is somebody else's: leave it alone for a while."""
        self._foreign.setdefault(key, {})[taken] = asyncio.get_running_loop().time() + FOREIGN_FOR_S

    def foreign(self, key: ClusterKey) -> frozenset[Key]:
        """Names that are somebody else's, as far as was seen lately."""
        now = asyncio.get_running_loop().time()
        return frozenset(taken for taken, until in self._foreign.get(key, {}).items() if until > now)

    def _put(self, key: ClusterKey, name: Key, found: Object | None) -> None:
        index = self._children.setdefault(key, {})
        if found is not None:
            index[name] = found
            return
        index.pop(name, None)
        if not index:
            self._children.pop(key, None)


def _owner(found: Object) -> ClusterKey | None:
    metadata = found["metadata"]
    cluster = (metadata.get("labels") or {}).get(labels.CLUSTER)
    return (metadata["namespace"], cluster) if cluster else None


def _newer(one: Object, other: Object) -> bool:
    # Across objects of one name too: the API server counts versions for all of them.
    return int(one["metadata"]["resourceVersion"]) > int(other["metadata"]["resourceVersion"])


def _asked_for(resource: Object) -> tuple[Any, ...]:
    """What a person asks for: the spec, the deletion, and the requests by annotation. Not what we report."""
    metadata = resource["metadata"]
    annotations = metadata.get("annotations") or {}
    requests = {key: value for key, value in annotations.items() if key.startswith(f"{labels.GROUP}/")}
    return metadata.get("uid"), metadata.get("generation"), metadata.get("deletionTimestamp"), requests


def _telling(kind: Kind, old: Object, new: Object) -> bool:
    """Whether a change can matter to a plan: a renewal of the lock cannot, nor can a member that says the same again.

    A plan uses how far a member has got only to choose between members, and looks it up when it does.
    """
    if kind.name == "Endpoints":
        return _without_heartbeat(old) != _without_heartbeat(new)
    return kind.name != "Pod" or _without_position(old) != _without_position(new)


def _without_heartbeat(found: Object) -> tuple[Any, ...]:
    metadata = found["metadata"]
    annotations = metadata.get("annotations") or {}
    rest = {key: value for key, value in annotations.items() if key not in _HEARTBEAT}
    return rest, metadata.get("labels"), metadata.get("ownerReferences"), metadata.get("deletionTimestamp")


def _without_position(pod: Object) -> tuple[Any, ...]:
    """All of a pod, with what the operator reads of its agent's words in place of the words, but for the position."""
    member = read_member(pod)
    metadata = {key: value for key, value in pod["metadata"].items() if key not in _VERSIONS}
    annotations = metadata.pop("annotations", None) or {}
    rest = {key: value for key, value in annotations.items() if key != labels.STATUS}
    others = {key: value for key, value in pod.items() if key != "metadata"}
    return member and replace(member, location=None), metadata, rest, others
