"""The state behind the fake API server: objects, versions, owners and the history that watches read.

No waiting and no faults happen here: each verb is one atomic step, as in etcd. Stored objects are never changed, only
replaced, so they are handed out without copying; whoever gets one must not change it (`guard=True` finds who does).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from matriarch.kube.api import JsonPatch, Kind, Listing, Object, PatchType, Propagation
from matriarch.testing import fake_kube_rules as rules
from matriarch.testing.fake_kube_apply import Manager, Ownership, apply_intent, leaves, managed_fields, note_update
from matriarch.testing.fake_kube_patch import copy_json, json_patch, merge_patch
from matriarch.testing.fake_kube_selectors import parse_selector
from matriarch.words.errors import AlreadyExists, Gone, Invalid, NotFound
from matriarch.words.facts import fact

Key = tuple[str, str]
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@fact(frozen=True, slots=True)
class Change:
    """One step of the history. `at` is the server's clock in seconds."""

    version: int
    at: float
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object
    old: Object | None


@dataclass(slots=True)
class Table:
    """All objects of one kind. `forgotten` is the version of the last change that is no longer in `history`."""

    kind: Kind
    objects: dict[Key, Object] = field(default_factory=dict)
    ownership: dict[Key, Ownership] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    dropped: int = 0
    forgotten: int = 0
    fingerprints: dict[Key, str] = field(default_factory=dict)


class Store:
    """Objects of all kinds. `now` tells the server's clock, `keep` how many changes per kind a late watch finds."""

    def __init__(self, now: Callable[[], float], *, keep: int = 1000, guard: bool = False) -> None:
        self.version = 100
        self.graceful_pods = False
        self.on_change: Callable[[Table, Change], None] = lambda _table, _change: None
        self._now = now
        self._keep = keep
        self._guard = guard
        self._uids = 0
        self._tables: dict[tuple[str, str], Table] = {}

    # Reading ---------------------------------------------------------------------------------------------------------

    def table(self, kind: Kind) -> Table:
        """The table of a kind, made on first use."""
        key = (kind.group_version, kind.plural)
        if key not in self._tables:
            self._tables[key] = Table(kind)
        return self._tables[key]

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Raises NotFound."""
        table, key = self.table(kind), (namespace, name)
        if key not in table.objects:
            raise NotFound(f"{kind.plural} {name!r} not found")
        found = table.objects[key]
        if self._guard and table.fingerprints[key] != json.dumps(found):
            raise AssertionError(f"somebody changed the {kind.name} {name} that the API server handed out")
        return found

    def list(self, kind: Kind, namespace: str | None, labels: str = "") -> Listing:
        """In the order of namespace and name, as etcd answers."""
        found = {key: self.get(kind, *key) for key in self.table(kind).objects}
        return _listing(found, namespace, labels, self.version)

    def past_list(self, kind: Kind, namespace: str | None, labels: str, seconds: float) -> Listing:
        """`list` as it would have answered so many seconds ago."""
        objects, version = self.past(kind, seconds)
        return _listing(objects, namespace, labels, version)

    def past_get(self, kind: Kind, namespace: str, name: str, seconds: float) -> Object:
        """`get` as it would have answered so many seconds ago."""
        objects, _ = self.past(kind, seconds)
        if (namespace, name) not in objects:
            raise NotFound(f"{kind.plural} {name!r} not found")
        return objects[namespace, name]

    def past(self, kind: Kind, seconds: float) -> tuple[dict[Key, Object], int]:
        """The objects of a kind as they were so many seconds ago, and their version, as far as the history reaches."""
        table, moment = self.table(kind), self._now() - seconds
        objects, version = dict(table.objects), self.version
        for change in reversed(table.history):
            if change.at <= moment:
                break
            key = change.object["metadata"].get("namespace", ""), change.object["metadata"]["name"]
            version = change.version - 1
            if change.old is None:
                del objects[key]
            else:
                objects[key] = change.old
        return objects, version

    def position(self, kind: Kind, version: str) -> int:
        """Where in the history a watch after `version` begins. Raises Gone when that part is forgotten."""
        table, after = self.table(kind), _parsed(version)
        if after < table.forgotten:
            raise Gone(f"too old resource version: {version} ({table.forgotten})")
        return table.dropped + bisect_right(table.history, after, key=lambda change: change.version)

    def compact(self) -> None:
        """Forget the whole history: a watch that starts before the present, or has not read all of it, is Gone."""
        for table in self._tables.values():
            table.dropped += len(table.history)
            table.history.clear()
            table.forgotten = self.version

    # Writing ---------------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Raises AlreadyExists, Invalid."""
        given = body.get("metadata") or {}
        name = given.get("name") or (f"{given['generateName']}{self._uids + 1:05d}" if "generateName" in given else "")
        item = copy_json(rules.prepared(kind, namespace, name, body))
        if item["metadata"].get("resourceVersion"):
            raise Invalid("resourceVersion should not be set on objects to be created")
        if (namespace, name) in self.table(kind).objects:
            raise AlreadyExists(f"{kind.plural} {name!r} already exists")
        if rules.has_status_subresource(kind):
            item.pop("status", None)
        return self._insert(kind, namespace, name, item)

    def seed(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Put an object in as it is, status included: for the actors that a test plays itself (kubelet, scheduler)."""
        name = body["metadata"]["name"]
        current = self.table(kind).objects.get((namespace, name))
        item = copy_json(rules.prepared(kind, namespace, name, body))
        if current is None:
            return self._insert(kind, namespace, name, item)
        status = item.pop("status", None)
        self._replace(kind, namespace, name, rules.settled(kind, current, item, ""))
        if status is None or not rules.has_status_subresource(kind):
            return self.get(kind, namespace, name)
        return self.patch(kind, namespace, name, {"status": status}, "merge", "status", "seed")

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Object | JsonPatch,
        patch_type: PatchType,
        subresource: str,
        writer: str,
    ) -> Object:
        """Raises NotFound, ConflictError, Invalid. A patch that changes nothing makes no new version."""
        current = self._for_writing(kind, namespace, name, subresource)
        if patch_type == "merge":
            if not isinstance(body, dict):
                raise Invalid("a merge patch must be an object")
            changed = merge_patch(current, body)
            metadata = body.get("metadata")
        else:
            if not isinstance(body, list):
                raise Invalid("a JSON patch must be a list")
            changed = json_patch(current, body)
            metadata = changed.get("metadata")
        rules.check_version(kind, current, metadata)
        changed = rules.prepared(kind, namespace, name, changed)
        result = rules.settled(kind, current, changed, subresource)
        key, table = (namespace, name), self.table(kind)
        if result is not current and key in table.ownership:
            writes = Manager(writer, "Update", subresource)
            table.ownership[key] = note_update(current, result, table.ownership[key], writes)
            result["metadata"]["managedFields"] = managed_fields(table.ownership[key], kind.group_version)
        return self._replace(kind, namespace, name, result)

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, manager: str, force: bool, subresource: str
    ) -> Object:
        """Server-side apply. Raises ConflictError, Invalid; NotFound only for a subresource of a missing object."""
        if not manager:
            raise Invalid("fieldManager is required for apply patch")
        intent = copy_json(rules.prepared(kind, namespace, name, body))
        if rules.has_status_subresource(kind):
            ours = {"apiVersion", "kind", "metadata", "status"} if subresource else intent.keys() - {"status"}
            intent = {part: value for part, value in intent.items() if part in ours}
        intent = rules.stored_form(kind, intent)
        key, table, applies = (namespace, name), self.table(kind), Manager(manager, "Apply", subresource)
        if key not in table.objects and not subresource:
            return self._insert(kind, namespace, name, intent, {applies: frozenset(leaves(intent))})
        current = self._for_writing(kind, namespace, name, subresource)
        rules.check_version(kind, current, intent["metadata"])
        ownership = table.ownership.get(key)
        if ownership is None:
            ownership = {Manager("before-first-apply", "Update"): frozenset(leaves(current))}
        merged, ownership = apply_intent(current, intent, ownership, applies, force=force)
        merged["metadata"] = {
            **merged["metadata"],
            "managedFields": managed_fields(ownership, kind.group_version),
        }
        result = rules.settled(kind, current, merged, subresource)
        table.ownership[key] = ownership
        return self._replace(kind, namespace, name, result)

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        propagation: Propagation,
        preconditions: Mapping[str, str] | None,
        grace_period_s: int | None,
    ) -> None:
        """Raises NotFound, ConflictError. With finalizers, or gracefully, the object is only marked."""
        current = self.get(kind, namespace, name)
        rules.check_version(kind, current, dict(preconditions or {}))
        uid = current["metadata"]["uid"]
        if propagation == "Orphan":
            self._orphan_dependents(uid)
        elif propagation == "Foreground":
            self._collect(uid)
        graceful = self.graceful_pods and kind.plural == "pods" and grace_period_s != 0
        if not graceful and not current["metadata"].get("finalizers"):
            self._erase(kind, namespace, name)
        elif "deletionTimestamp" not in current["metadata"]:
            marks: Object = {"deletionTimestamp": self._timestamp()}
            if graceful:
                default = current.get("spec", {}).get("terminationGracePeriodSeconds", 30)
                marks["deletionGracePeriodSeconds"] = default if grace_period_s is None else grace_period_s
            self._replace(kind, namespace, name, {**current, "metadata": {**current["metadata"], **marks}})

    # The steps that everything above is made of ----------------------------------------------------------------------

    def _for_writing(self, kind: Kind, namespace: str, name: str, subresource: str) -> Object:
        if subresource not in ("", "status") or (subresource and not rules.has_status_subresource(kind)):
            raise NotFound(f"{kind.plural} has no subresource {subresource!r}")
        return self.get(kind, namespace, name)

    def _insert(self, kind: Kind, namespace: str, name: str, item: Object, owned: Ownership | None = None) -> Object:
        self._uids += 1
        metadata = item["metadata"]
        for server_owned in ("resourceVersion", "deletionTimestamp", "managedFields"):
            metadata.pop(server_owned, None)
        metadata["uid"] = f"00000000-0000-4000-8000-{self._uids:012x}"
        metadata["creationTimestamp"] = self._timestamp()
        if rules.counts_generations(kind):
            metadata["generation"] = 1
        rules.stored_form(kind, item)
        rules.validate(kind, item)
        if owned is not None:
            self.table(kind).ownership[namespace, name] = owned
            metadata["managedFields"] = managed_fields(owned, kind.group_version)
        return self._record(kind, (namespace, name), "ADDED", item, None)

    def _replace(self, kind: Kind, namespace: str, name: str, item: Object) -> Object:
        current = self.table(kind).objects[namespace, name]
        if item is current:
            return current
        result = self._record(kind, (namespace, name), "MODIFIED", item, current)
        metadata = result["metadata"]
        waits_for_kubelet = "deletionGracePeriodSeconds" in metadata
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and not waits_for_kubelet:
            self._erase(kind, namespace, name)
        return result

    def _erase(self, kind: Kind, namespace: str, name: str) -> None:
        current = self.table(kind).objects[namespace, name]
        last = {**current, "metadata": dict(current["metadata"])}
        self._record(kind, (namespace, name), "DELETED", last, current)
        self._collect(current["metadata"]["uid"])

    def _record(
        self,
        kind: Kind,
        key: Key,
        change: Literal["ADDED", "MODIFIED", "DELETED"],
        item: Object,
        old: Object | None,
    ) -> Object:
        table = self.table(kind)
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if change == "DELETED":
            del table.objects[key]
            table.ownership.pop(key, None)
        else:
            table.objects[key] = item
            if self._guard:
                table.fingerprints[key] = json.dumps(item)
        entry = Change(self.version, self._now(), change, item, old)
        table.history.append(entry)
        if len(table.history) > 2 * self._keep:
            table.forgotten = table.history[-self._keep - 1].version
            table.dropped += len(table.history) - self._keep
            del table.history[: -self._keep]
        self.on_change(table, entry)
        return item

    # Owners ----------------------------------------------------------------------------------------------------------

    def _dependents(self, uid: str) -> tuple[tuple[Kind, Key, Object], ...]:
        return tuple(
            (table.kind, key, item)
            for table in self._tables.values()
            for key, item in table.objects.items()
            if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ()))
        )

    def _collect(self, uid: str) -> None:
        """Delete what the object with this uid owned, unless another owner is left."""
        for kind, key, item in self._dependents(uid):
            if len(item["metadata"]["ownerReferences"]) > 1:
                self._disown(kind, key, item, uid)
            elif key in self.table(kind).objects:
                self.delete(kind, *key, "Background", None, None)

    def _orphan_dependents(self, uid: str) -> None:
        for kind, key, item in self._dependents(uid):
            self._disown(kind, key, item, uid)

    def _disown(self, kind: Kind, key: Key, item: Object, uid: str) -> None:
        owners = [owner for owner in item["metadata"]["ownerReferences"] if owner["uid"] != uid]
        changed = {**item, "metadata": {**item["metadata"], "ownerReferences": owners}}
        self._replace(kind, *key, rules.settled(kind, item, changed, ""))

    def _timestamp(self) -> str:
        return (_EPOCH + timedelta(seconds=self._now())).strftime("%Y-%m-%dT%H:%M:%SZ")


def _listing(objects: Mapping[Key, Object], namespace: str | None, labels: str, version: int) -> Listing:
    matches = parse_selector(labels)
    keys = sorted(key for key in objects if namespace in (None, key[0]))
    return Listing(tuple(objects[key] for key in keys if matches(objects[key])), str(version))


def _parsed(version: str) -> int:
    if not version.isdecimal():
        raise Invalid(f"invalid resource version {version!r}")
    return int(version)
