"""The lock objects as Patroni writes them in Endpoints mode: read, and patches to write.

Reading tolerates everything: whoever may write annotations may write nonsense. A patch with `version` carries it as
`metadata.resourceVersion`, which makes it a compare-and-swap.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from matriarch.ha.view import ConfigView, HistoryEntry, Me, Request, SyncView
from matriarch.ha.written import LARGEST
from matriarch.words import labels, names
from matriarch.words.facts import fact

Object = dict[str, Any]


class Heartbeat(NamedTuple):
    """What changes with every renewal."""

    holder: str | None
    acquire_time: str | None
    ttl: int | None
    renew_time: str | None
    epoch: int

    def renews(self, before: Heartbeat | None) -> bool:
        """Whether a holder has done no more than renew its lock."""
        return before is not None and (before.holder, before.epoch) == (self.holder, self.epoch)


@fact(frozen=True, slots=True)
class LockRecord:
    """The lock object's content, without any judgement about time."""

    holder: str | None
    version: str
    ttl: int | None
    acquire_time: str | None
    renew_time: str | None
    epoch: int
    optime: int | None
    slots: Mapping[str, int]
    retained: tuple[str, ...]
    failsafe: Mapping[str, str] | None
    address_uid: str | None
    address_node: str | None

    @property
    def heartbeat(self) -> Heartbeat:
        """What changes with every renewal; an observer's TTL counts from when it saw this change."""
        return Heartbeat(self.holder, self.acquire_time, self.ttl, self.renew_time, self.epoch)


@fact(frozen=True, slots=True)
class Renewal:
    """What a holder writes besides its name."""

    now_iso: str
    ttl: float
    optime: int | None = None
    slots: Mapping[str, int] | None = None
    failsafe: Mapping[str, str] | None = None
    retained: tuple[str, ...] = ()


def annotations_of(obj: Object) -> dict[str, str]:
    """An object's annotations, never None."""
    found = (obj.get("metadata") or {}).get("annotations") or {}
    return {str(key): str(value) for key, value in found.items()}


def version_of(obj: Object) -> str:
    """An object's resourceVersion."""
    return str((obj.get("metadata") or {}).get("resourceVersion", ""))


def read_lock(obj: Object) -> LockRecord:
    """Decode the lock object."""
    notes = annotations_of(obj)
    address = _only_address(obj)
    target = address.get("targetRef") or {}
    ttl = _integer(notes.get("ttl"))
    return LockRecord(
        holder=notes.get("leader") or None,
        version=version_of(obj),
        ttl=ttl if ttl is not None and ttl > 0 else None,
        acquire_time=notes.get("acquireTime"),
        renew_time=notes.get("renewTime"),
        epoch=_integer(notes.get("transitions")) or 0,
        optime=_integer(notes.get("optime")),
        slots=_positions(notes.get("slots")),
        retained=_names(notes.get("retain_slots")),
        failsafe=_string_map(notes.get("failsafe")),
        address_uid=target.get("uid"),
        address_node=address.get("nodeName"),
    )


def read_config(obj: Object) -> ConfigView:
    """Decode the config object (not the settings: those have their own parser)."""
    notes = annotations_of(obj)
    return ConfigView(True, version_of(obj), notes.get("initialize"), read_history(notes.get("history")))


def read_history(text: str | None) -> tuple[HistoryEntry, ...] | None:
    """Decode the `history` annotation; None when absent or unreadable."""
    rows = _json(text)
    if not isinstance(rows, list):
        return None
    entries = []
    for row in rows:
        if not (isinstance(row, list) and len(row) >= 2 and isinstance(row[0], int) and isinstance(row[1], int)):
            return None
        rest = [str(value) for value in row[2:5]] + [""] * 3
        entries.append(HistoryEntry(row[0], row[1], rest[0], rest[1], rest[2]))
    return tuple(entries)


def read_sync(obj: Object) -> SyncView:
    """Decode the sync object."""
    notes = annotations_of(obj)
    leader = notes.get("leader") or None
    listed = notes.get("sync_standby") or ""
    standbys = tuple(sorted(name.strip() for name in listed.split(",") if name.strip()))
    return SyncView(
        leader=leader,
        standbys=standbys if leader else (),
        quorum=max(0, _integer(notes.get("quorum")) or 0) if leader else 0,
        version=version_of(obj),
        claim=notes.get(labels.CLAIM) or None,
    )


def read_request(obj: Object) -> Request:
    """Decode the failover object. An unreadable schedule counts as due: the leader then refuses it in words."""
    notes = annotations_of(obj)
    return Request(
        notes.get("leader") or None,
        notes.get("member") or None,
        _epoch_seconds(notes.get("scheduled_at")),
        version_of(obj),
    )


def acquire_body(me: Me, renewal: Renewal, previous: LockRecord | None) -> Object:
    """Annotations and subset that make `me` the holder. The epoch grows when the holder was somebody else."""
    same = previous is not None and previous.holder == me.name
    epoch = (previous.epoch if previous else 0) + (0 if same or previous is None else 1)
    notes = _heartbeat(me, renewal) | {
        "acquireTime": previous.acquire_time if same and previous and previous.acquire_time else renewal.now_iso,
        "transitions": str(epoch),
    }
    return {"metadata": {"labels": dict(me.cluster_labels), "annotations": notes}, "subsets": [subset(me)]}


def renew_body(me: Me, renewal: Renewal, correct_subset: bool) -> Object:
    """Annotations of a renewal; the subset only when the present one is wrong."""
    body: Object = {"metadata": {"annotations": _heartbeat(me, renewal)}}
    if not correct_subset:
        body["subsets"] = [subset(me)]
    return body


def release_body(optime: int | None, successor: Me | None) -> Object:
    """Annotations of a release, and the successor's address where one is certain.

    kube-proxy applies at most one change of any EndpointSlice a second, and the annotations are mirrored into the
    slice: were the address left to the successor's own write, it would reach clients a second after this one.
    """
    notes: dict[str, str | None] = {"leader": None}
    if optime is not None:
        notes["optime"] = str(optime)
    body: Object = {"metadata": {"annotations": notes}}
    return body if successor is None else body | {"subsets": [subset(successor)]}


def sync_body(
    by: Mapping[str, str], leader: str | None, standbys: tuple[str, ...], quorum: int, now_iso: str
) -> Object:
    """The sync object, found by the labels `by`; leader None: synchronous mode is not active. `quorum` is 0 in priority
    mode.

    `now_iso` makes every write a change: the API server gives no new version to a patch that changes nothing, and an
    earlier write that is still under way could then succeed later.
    """
    notes = {
        "leader": leader,
        "sync_standby": ",".join(sorted(standbys)) if leader and standbys else None,
        "quorum": str(quorum) if leader else None,
        labels.CLAIM: None,
        labels.WRITTEN: now_iso,
    }
    return {"metadata": {"labels": dict(by), "annotations": notes}}


def claim_body(claimant: str, now_iso: str) -> Object:
    """A standby's claim on the sync object: what it lists stays as it is. `now_iso` makes a claim on top of its own
    former one a change, so that an override of that one which is under way comes too late."""
    return {"metadata": {"annotations": {labels.CLAIM: claimant, labels.WRITTEN: now_iso}}}


def request_body(
    by: Mapping[str, str], leader: str | None, candidate: str | None, scheduled_at: str | None = None
) -> Object:
    """The failover object, found by the labels `by`; all None empties it."""
    notes = {"leader": leader, "member": candidate, "scheduled_at": scheduled_at}
    return {"metadata": {"labels": dict(by), "annotations": notes}}


def config_body(by: Mapping[str, str], **notes: str | None) -> Object:
    """Annotations (`initialize`, `config`, `history`) of the config object, found by the labels `by`."""
    return {"metadata": {"labels": dict(by), "annotations": dict(notes)}}


def history_text(entries: tuple[HistoryEntry, ...]) -> str:
    """The `history` annotation."""
    rows = [[entry.timeline, entry.lsn, entry.reason, entry.timestamp, entry.leader] for entry in entries]
    return json.dumps(rows, separators=(",", ":"))


def with_version(body: Object, version: str | None) -> Object:
    """The body as a compare-and-swap on `version`."""
    metadata = dict(body["metadata"])
    if version is not None:
        metadata["resourceVersion"] = version
    return body | {"metadata": metadata}


def without_nulls(body: Object) -> Object:
    """The body as it must be for a create: null annotations left out."""
    metadata = dict(body["metadata"])
    metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if value is not None}
    return body | {"metadata": metadata}


def subset(me: Me) -> Object:
    """The one subset that routes the primary Service to `me`."""
    address: Object = {
        "ip": me.pod_ip,
        "hostname": me.name,
        "targetRef": {"kind": "Pod", "name": me.name, "uid": me.pod_uid},
    }
    if me.node:
        address["nodeName"] = me.node
    port: Object = {"port": names.POSTGRES_PORT, "protocol": "TCP"}
    if me.port_name:
        port["name"] = me.port_name
    return {"addresses": [address], "ports": [port]}


def subset_is_mine(obj: Object, me: Me) -> bool:
    """Whether the object already routes to `me` and to nobody else."""
    subsets = obj.get("subsets") or []
    if len(subsets) != 1 or len(subsets[0].get("addresses") or []) != 1 or subsets[0].get("notReadyAddresses"):
        return False
    address = subsets[0]["addresses"][0]
    ports = [
        (port.get("name"), port.get("port"), port.get("protocol", "TCP")) for port in subsets[0].get("ports") or []
    ]
    uid = (address.get("targetRef") or {}).get("uid")
    mine = address.get("ip") == me.pod_ip and uid == me.pod_uid
    return mine and ports == [(me.port_name or None, names.POSTGRES_PORT, "TCP")]


def _heartbeat(me: Me, renewal: Renewal) -> dict[str, str | None]:
    notes: dict[str, str | None] = {
        "leader": me.name,
        "renewTime": renewal.now_iso,
        "ttl": str(max(1, math.ceil(renewal.ttl))),
    }
    if renewal.optime is not None:
        notes["optime"] = str(renewal.optime)
        notes["slots"] = _compact(renewal.slots) if renewal.slots else None
        # With blanks: Patroni compares the text with its own.
        notes["retain_slots"] = json.dumps(list(renewal.retained)) if renewal.retained else None
    # Without failsafe mode nobody has to be in a topology, so none may be left from before.
    notes["failsafe"] = _compact(renewal.failsafe) if renewal.failsafe is not None else None
    return notes


def _only_address(obj: Object) -> Object:
    subsets = obj.get("subsets") or []
    addresses = (subsets[0].get("addresses") or []) if subsets else []
    return addresses[0] if addresses else {}


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _string_map(text: str | None) -> Mapping[str, str] | None:
    value = _json(text)
    if not isinstance(value, dict):
        return None
    return {str(key): str(item) for key, item in value.items()}


@lru_cache(maxsize=64)
def _positions(text: str | None) -> Mapping[str, int]:
    value = _json(text)
    rows = value.items() if isinstance(value, dict) else ()
    return {name: lsn for name, lsn in rows if type(lsn) is int and 0 < lsn <= LARGEST}


@lru_cache(maxsize=64)
def _names(text: str | None) -> tuple[str, ...]:
    value = _json(text)
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _epoch_seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return moment.timestamp() if moment.tzinfo is not None else 0.0
