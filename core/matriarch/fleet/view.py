"""What was observed of one cluster, at one moment. Immutable; everything that `decide` knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from matriarch.fleet.actions import Manifest
from matriarch.fleet.adopt import belonging
from matriarch.fleet.member import Member, read_member
from matriarch.fleet.sync_record import SyncRecord, read_sync
from matriarch.spec.cluster import Spec
from matriarch.spec.resource import check_name, read_spec, read_status
from matriarch.spec.status import Status
from matriarch.words import labels, names
from matriarch.words.errors import Invalid
from matriarch.words.json_object import decode_object

Key = tuple[str, str]
"""Kind and name of an object in the cluster's namespace."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Fresh random passwords, for Secrets that do not exist yet. Never shown."""

    app: str
    superuser: str
    replication: str

    def __repr__(self) -> str:
        return "Passwords(...)"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the shell knows beside the objects. `now` carries a time zone."""

    now: datetime
    image: str
    passwords: Passwords
    foreign: frozenset[Key] = frozenset()
    """Objects whose names we need and that belong to somebody else."""
    restarting: str = ""
    """The member that was asked for a restart which is not over; its pod may not say so yet."""
    missing: tuple[str, ...] = ()
    """What the Secrets that the spec names lack, in sentences for a person."""
    refused: frozenset[str] = frozenset()
    """Names of those of them that the operator may not read: whether they lack something is not known."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock, as its annotations tell it. An absent object and an empty one look alike: nobody leads."""

    leader: str
    sync: SyncRecord
    initialized: bool


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster: what is asked for, what exists, what the members say."""

    namespace: str
    name: str
    resource: Manifest
    spec: Spec | None
    mistake: str
    """Why there is no spec, for a person; empty when there is one."""
    status: Status
    children: Mapping[Key, Manifest]
    members: tuple[Member, ...]
    lock: Lock
    facts: Facts

    @property
    def uid(self) -> str:
        """The PostgresCluster's uid."""
        return str(self.resource["metadata"]["uid"])

    @property
    def deleting(self) -> bool:
        """Whether the PostgresCluster is being deleted."""
        return "deletionTimestamp" in self.resource["metadata"]

    @property
    def paused(self) -> bool:
        """Whether a person wants nothing to happen by itself: by the spec, or by the cluster settings (patronictl)."""
        live = json_annotation(self.child_annotations("Endpoints", names.config_object(self.name)).get("config"))
        return live.get("pause") is True or (self.spec is not None and self.spec.paused)

    @property
    def annotations(self) -> Mapping[str, str]:
        """The PostgresCluster's annotations."""
        return self.resource["metadata"].get("annotations") or {}

    @property
    def leader(self) -> Member | None:
        """The member that holds the lock, when its pod exists."""
        return next((member for member in self.members if member.name == self.lock.leader), None)

    def role_of(self, member: Member) -> str:
        """A member's role: the lock tells who leads, and the leader's own word whether as a standby leader."""
        if member.name != self.lock.leader:
            return member.role
        return member.role if member.role == "standby_leader" else labels.ROLE_PRIMARY

    def age_s(self, moment: object) -> float | None:
        """Seconds since a moment in RFC 3339, by our clock; None for what is no such moment."""
        try:
            return (self.facts.now - datetime.fromisoformat(str(moment))).total_seconds()
        except (ValueError, TypeError):
            return None

    def child(self, kind: str, name: str) -> Manifest | None:
        """An observed object, or None."""
        return self.children.get((kind, name))

    def own(self, kind: str, name: str) -> Manifest | None:
        """An observed object, or None when it is absent or somebody else's."""
        found = self.child(kind, name)
        return None if found is None or belonging(found, self.name, self.uid) == "foreign" else found

    def child_annotations(self, kind: str, name: str) -> Mapping[str, str]:
        """The annotations of an observed object; none when it is absent."""
        found = self.child(kind, name)
        return (found["metadata"].get("annotations") or {}) if found is not None else {}


def observed(
    namespace: str, name: str, resource: Manifest, children: Mapping[Key, Manifest], facts: Facts
) -> ClusterView:
    """The view of a cluster from its PostgresCluster and every object that carries its labels.

    Kinds come with the keys: the items of a list from the API server do not say their kind.
    """
    spec, mistake = None, ""
    try:
        check_name(name)
        spec = read_spec(resource.get("spec"))
    except Invalid as error:
        mistake = str(error)
    found = [read_member(one) for (kind, _), one in children.items() if kind == "Pod"]
    members = sorted((member for member in found if member is not None), key=lambda member: member.ordinal)
    return ClusterView(
        namespace=namespace,
        name=name,
        resource=resource,
        spec=spec,
        mistake=mistake,
        status=read_status(resource.get("status")),
        children=children,
        members=tuple(member for member in members if member.name == names.member_name(name, member.ordinal)),
        lock=_lock(name, children),
        facts=facts,
    )


def _lock(name: str, children: Mapping[Key, Manifest]) -> Lock:
    def annotations(object_name: str) -> Mapping[str, Any]:
        found = children.get(("Endpoints", object_name))
        return (found["metadata"].get("annotations") or {}) if found is not None else {}

    return Lock(
        leader=annotations(names.lock_object(name)).get("leader") or "",
        sync=read_sync(annotations(names.sync_object(name))),
        initialized=bool(annotations(names.config_object(name)).get("initialize")),
    )


def json_annotation(text: str | None) -> dict[str, Any]:
    """A JSON object from an annotation; an empty one for anything else (after Patroni)."""
    return decode_object(text) or {}
