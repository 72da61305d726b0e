"""The cluster's records in Kubernetes: what this member sees of them, and the compare-and-swap writes to them.

The lock's adapter for Endpoints objects. Reads come from two informers (Endpoints, Pods); writes go over `lock_kube`, a
client of its own, so that a renewal never queues behind anything else. The TTL is counted from when *this* member saw
the record change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from matriarch.ha import records
from matriarch.ha.documents.members import status_of
from matriarch.ha.lease import expired
from matriarch.ha.rules.slots import accounted
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import ConfigView, LockView, Me, MemberView, Request, SyncView
from matriarch.kube.api import ENDPOINTS, PODS, SERVICES, Kube, Object
from matriarch.kube.informer import Informer
from matriarch.words import labels
from matriarch.words.errors import AlreadyExists, ConflictError, Forbidden, MatriarchError, NotFound, Unavailable
from matriarch_agent.members import Members, place, role
from matriarch_agent.ports import Now
from matriarch_agent.reading import Reading
from matriarch_agent.seen import Seen

LOCK_SILENCE_S = 15.0
"""The lock's stream carries a renewal every `loop_wait`: silent for so long, it is dead or nobody leads."""


class ClusterStore:
    """One member's window on the four lock objects and on the pods."""

    def __init__(
        self, kube: Kube, lock_kube: Kube, me: Me, namespace: str, now: Now, on_change: Callable[[], None]
    ) -> None:
        self._kube, self._lock_kube = kube, lock_kube
        self._me, self._namespace, self._now, self._wake = me, namespace, now, on_change
        chosen = labels.selector(me.cluster_labels)
        saw, idle = self._saw_endpoints, LOCK_SILENCE_S
        self._endpoints = Informer(kube, ENDPOINTS, namespace, labels=chosen, on_change=saw, now=now, idle_timeout=idle)
        self._pods = Informer(kube, PODS, namespace, labels=chosen, on_change=self._saw_pod, now=now)
        self._seen = Seen(me.cluster)
        self._read_status: Reading[dict[str, Any]] = Reading(status_of, {})
        self._members = Members()
        self._lock_state: object = None
        self._lock_view = LockView()
        self._seen_heartbeat: records.Heartbeat | None = None
        self._seen_at = now()
        self.heeds_renewals: Callable[[], bool] = lambda: True
        """Whether another member's mere renewal of its lock is worth a look."""
        self.pod_gone_at = float("inf")
        """When this member's pod was first seen to be gone, on `now`'s clock."""
        self._written = 0  # the version of the newest write that was answered
        self.last_contact = -1e9
        """When the API server last answered this member, on `now`'s clock."""

    async def run(self) -> None:
        """Keep the caches up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._endpoints.run(), name="watch-endpoints")
            group.create_task(self._pods.run(), name="watch-pods")

    @property
    def synced(self) -> bool:
        """Both first listings have arrived: only then absence means anything (rule 7)."""
        return self._endpoints.synced.is_set() and self._pods.synced.is_set()

    @property
    def followed_since(self) -> float:
        """Since when nothing can have come and gone unseen, on `now`'s clock."""
        return max(self._pods.followed_since, self._endpoints.followed_since)

    @property
    def contact(self) -> float:
        """The last sign of life from the API server."""
        return max(self.last_contact, self._endpoints.last_contact, self._pods.last_contact)

    # --- what is seen ---------------------------------------------------------------------------------------------

    def settings(self) -> ClusterSettings:
        """The cluster settings; the last readable ones."""
        return self._seen.settings

    def settings_text(self) -> str | None:
        """The `config` annotation as it stands."""
        obj = self._object(self._seen.config_name)
        return records.annotations_of(obj).get("config") if obj is not None else None

    def config_source(self) -> Object | None:
        """The config object as it stands."""
        return self._object(self._seen.config_name)

    def lock_record(self) -> records.LockRecord | None:
        """The lock's content; None when the object does not exist."""
        return self._seen.lock

    def lock(self) -> LockView:
        """The lock, with expiry judged on this member's clock."""
        record = self._seen.lock
        if record is None:
            return LockView(seen_at=self._seen_at, deleted_from=self._seen.held_last)
        ttl = float(record.ttl) if record.ttl is not None else self.settings().ttl
        over = record.holder is not None and expired(self._seen_at, ttl, self._now())
        state = (record, self._seen_at, ttl, over)
        if state != self._lock_state:
            self._lock_state = state
            self._lock_view = LockView(
                holder=record.holder,
                version=record.version,
                epoch=record.epoch,
                ttl=ttl,
                seen_at=self._seen_at,
                expired=over,
                optime=record.optime,
                slots=record.slots,
                retained=record.retained,
                failsafe=record.failsafe,
                address_uid=record.address_uid,
                address_node=record.address_node,
            )
        return self._lock_view

    def config(self) -> ConfigView:
        """`initialize` and history."""
        return self._seen.config

    def sync(self) -> SyncView:
        """The sync object."""
        return self._seen.sync

    def request(self) -> Request:
        """The pending request."""
        return self._seen.request

    def members(self) -> tuple[MemberView, ...]:
        """All members whose pods exist, by name."""
        return self._members.all()

    def statuses(self) -> dict[str, dict[str, Any]]:
        """The members' decoded `status` annotations."""
        return {name: status_of(pod) for (_, name), pod in self._pods.cache.items()}

    def own_status(self) -> dict[str, Any]:
        """What this member's pod shows as its `status`; not to be changed."""
        return self._read_status.of(self.pod())

    def pod(self) -> Object | None:
        """This member's own pod."""
        return self._pods.cache.get((self._namespace, self._me.name))

    # --- writes ---------------------------------------------------------------------------------------------------

    async def take_lock(self, version: str | None, renewal: records.Renewal, timeout: float) -> None:
        """Become the holder by compare-and-swap on `version`. Raises ConflictError when somebody was faster.

        A lost reply counts as success when the object holds exactly what was written.
        """
        body = records.acquire_body(self._me, renewal, self._seen.last_lock)
        await self._swap_lock(body, version, renewal, timeout)

    async def renew_lock(self, renewal: records.Renewal, timeout: float, confirmed_at: float | None = None) -> None:
        """Renew. Raises ConflictError when the lock is not this member's any more; re-bases once on a new version that
        still names it (somebody else's annotation). `confirmed_at`: when all others last agreed that it is primary."""
        obj = self._object(self._seen.lock_name)
        if obj is None:
            # Somebody deleted the object. Whoever makes it again holds the lock, so be the one, or find out.
            unseen = (self._namespace, self._seen.lock_name) in self._endpoints.unseen
            self._seen.check_making(self._me.name, unseen and (confirmed_at or -1e9) < self._seen_at)
            return await self.take_lock(None, renewal, timeout)
        if not self._named():
            raise ConflictError("the lock names another member")
        body = records.renew_body(self._me, renewal, records.subset_is_mine(obj, self._me))
        try:
            await self._swap_lock(body, records.version_of(obj), renewal, timeout)
        except ConflictError:
            fresh, record = self._object(self._seen.lock_name), self._seen.lock
            # A newer pod of the same name that took the lock up is somebody else.
            if fresh is None or record is None or record.holder != self._me.name:
                raise
            if record.address_uid not in (None, self._me.pod_uid):
                raise
            await self._swap_lock(body, records.version_of(fresh), renewal, timeout)

    async def release_lock(self, optime: int | None, successor: str | None, timeout: float) -> None:
        """Give the lock up, with the primary's address already that of the successor. Raises ConflictError when it was
        not this member's any more."""
        for _ in range(2):
            obj = self._object(self._seen.lock_name)
            if obj is None or not self._named():
                raise ConflictError("the lock names another member")
            body = records.release_body(optime, self._identity(successor))
            body = records.with_version(body, records.version_of(obj))
            try:
                await self._patch(self._seen.lock_name, body, timeout)
            except ConflictError:
                await self.read_lock_object(timeout)
                continue
            return
        raise ConflictError("the lock keeps changing")

    async def write_position(self, lsn: int, timeout: float) -> None:
        """Tell where the WAL of this member's time ends, and leave all else as it stands. Raises ConflictError when the
        lock is not this member's any more."""
        obj = self._object(self._seen.lock_name)
        if obj is None or not self._named():
            raise ConflictError("the lock names another member")
        body = records.with_version({"metadata": {"annotations": {"optime": str(lsn)}}}, records.version_of(obj))
        await self._patch(self._seen.lock_name, body, timeout)

    def _named(self) -> bool:
        return self._seen.lock is not None and self._seen.lock.holder == self._me.name

    def _identity(self, name: str | None) -> Me | None:
        """Another member as it will name itself in the lock; None while its pod has no address."""
        pod = self._pods.cache.get((self._namespace, name or ""))
        address = ((pod or {}).get("status") or {}).get("podIP")
        if pod is None or name is None or not address:
            return None
        node = (pod.get("spec") or {}).get("nodeName") or ""
        uid = str(pod["metadata"].get("uid", ""))
        return replace(self._me, name=name, pod_ip=str(address), pod_uid=uid, node=str(node))

    async def read_lock_object(self, timeout: float) -> None:
        """Read the lock past the watch, which may be silent or late."""
        try:
            found = await self._lock_kube.get(ENDPOINTS, self._namespace, self._seen.lock_name, timeout=timeout)
        except NotFound:
            self.last_contact = self._now()
            return
        self.last_contact = self._now()
        self._endpoints.put(found)

    async def accounted_slots(self, timeout: float) -> set[str]:
        """The slots that members and settings account for, as the API server has them now, past the watches. Raises
        MatriarchError, also when what it tells is older than what it has taken from this member."""
        chosen = labels.selector(self._me.cluster_labels)
        pods = await self._kube.list(PODS, self._namespace, labels=chosen, timeout=timeout)
        found = await self._kube.list(ENDPOINTS, self._namespace, labels=chosen, timeout=timeout)
        if min(int(pods.version), int(found.version)) < self._written:
            raise Unavailable("the API server tells what is older than this member's last write")
        for obj in found.items:
            self._endpoints.put(obj)
        return accounted((str(pod["metadata"]["name"]) for pod in pods.items), self.settings())

    async def write_sync(self, leader: str | None, standbys: tuple[str, ...], quorum: int, version: str | None) -> str:
        """Write the sync object by compare-and-swap. Returns the version that it has now."""
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        body = records.sync_body(self._me.cluster_labels, leader, standbys, quorum, stamp)
        return await self._swap(self._seen.sync_name, body, version)

    async def write_claim(self, version: str) -> None:
        """Claim the sync object by compare-and-swap."""
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        await self._swap(self._seen.sync_name, records.claim_body(self._me.name, stamp), version)

    async def write_config(self, version: str | None, **notes: str | None) -> None:
        """Write annotations of the config object by compare-and-swap, with what it has lost; creates its Service first
        when it is new."""
        if version is None:
            await self._config_service()
        whole = {**self._seen.lost(self.config_source(), begins=notes.get("initialize") == ""), **notes}
        await self._swap(self._seen.config_name, records.config_body(self._me.cluster_labels, **whole), version)

    async def write_request(
        self, leader: str | None, candidate: str | None, scheduled_at: str | None = None, version: str | None = None
    ) -> None:
        """Ask for a switchover or failover; all None empties the object. `version` None: whatever is there."""
        body = records.request_body(self._me.cluster_labels, leader, candidate, scheduled_at)
        body["metadata"]["annotations"][labels.REFUSED] = None
        obj = self._object(self._seen.request_name)
        present = records.version_of(obj) if obj is not None else None
        await self._swap(self._seen.request_name, body, version or present)

    async def clear_request(self, version: str | None, why: str) -> None:
        """Empty the failover object and leave word why it was refused."""
        body = records.request_body(self._me.cluster_labels, None, None)
        body["metadata"]["annotations"][labels.REFUSED] = why or None
        await self._swap(self._seen.request_name, body, version)

    async def patch_pod(self, body: Object, timeout: float) -> None:
        """Change this member's own pod."""
        self._pods.put(await self._kube.patch(PODS, self._namespace, self._me.name, body, timeout=timeout))
        self.last_contact = self._now()

    def renewal(
        self,
        optime: int | None,
        topology: dict[str, str] | None,
        slots: dict[str, int] | None = None,
        retained: tuple[str, ...] = (),
    ) -> records.Renewal:
        """A renewal with the present wall-clock time, which others only compare for change."""
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        return records.Renewal(stamp, self.settings().ttl, optime, slots, topology, retained)

    # --- plumbing -------------------------------------------------------------------------------------------------

    def _object(self, name: str) -> Object | None:
        return self._endpoints.cache.get((self._namespace, name))

    async def _swap_lock(self, body: Object, version: str | None, renewal: records.Renewal, timeout: float) -> None:
        try:
            await self._write(self._seen.lock_name, body, version, timeout)
        except ConflictError:
            await self.read_lock_object(timeout)
            record = self.lock_record()
            ours = record is not None and record.holder == self._me.name and record.renew_time == renewal.now_iso
            if not ours:
                raise

    async def _swap(self, name: str, body: Object, version: str | None, timeout: float = 3.0) -> str:
        try:
            return await self._write(name, body, version, timeout)
        except (ConflictError, NotFound):
            await self._reread(name, timeout)
            raise

    async def _reread(self, name: str, timeout: float) -> None:
        """After a lost compare-and-swap the cache is suspect."""
        try:
            self._endpoints.put(await self._kube.get(ENDPOINTS, self._namespace, name, timeout=timeout))
        except MatriarchError:
            self._endpoints.refresh()

    async def _write(self, name: str, body: Object, version: str | None, timeout: float) -> str:
        """Change exactly this version, or with None make what is not there. Returns the version that it has now."""
        if version is None:
            return await self._create(name, body, timeout)
        return await self._patch(name, records.with_version(body, version), timeout)

    async def _patch(self, name: str, body: Object, timeout: float) -> str:
        return self._answered(await self._lock_kube.patch(ENDPOINTS, self._namespace, name, body, timeout=timeout))

    async def _create(self, name: str, body: Object, timeout: float) -> str:
        metadata = {**records.without_nulls(body)["metadata"], "name": name, "namespace": self._namespace}
        if name != self._seen.lock_name:
            # Without it the endpoints controller deletes, whenever it starts, what has no Service of its name. Never on
            # the lock: it would stop the mirroring of its address into EndpointSlices.
            metadata["annotations"] = {**metadata["annotations"], labels.KEEP_ENDPOINTS: "{}"}
        whole: dict[str, Any] = {**body, "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
        return self._answered(await self._lock_kube.create(ENDPOINTS, self._namespace, whole, timeout=timeout))

    def _answered(self, found: Object) -> str:
        """Take over what a write made, ahead of the watch. Returns its version."""
        self.last_contact = self._now()
        self._endpoints.put(found)
        self._written = max(self._written, int(records.version_of(found)))
        return records.version_of(found)

    async def _config_service(self) -> None:
        """Without it the control plane deletes Endpoints. Our operator makes it, and members have no right to then."""
        name = self._seen.config_name
        metadata = {"name": name, "namespace": self._namespace, "labels": dict(self._me.cluster_labels)}
        body: Object = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None"}}
        try:
            await self._kube.create(SERVICES, self._namespace, body)
        except (AlreadyExists, Forbidden):
            return

    def _saw_endpoints(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {}).get("metadata", {}).get("name")
        if self._seen.note(name, new) and (name != self._seen.lock_name or self._lock_says_more()):
            self._wake()

    def _lock_says_more(self) -> bool:
        """Note when the lock changed, and tell whether that is worth a look."""
        record, previous = self._seen.lock, self._seen_heartbeat
        heartbeat = record.heartbeat if record is not None else None
        if heartbeat == previous:
            return False
        self._seen_heartbeat, self._seen_at = heartbeat, self._now()
        if heartbeat is None or not heartbeat.renews(previous):
            return True
        return heartbeat.holder != self._me.name and self.heeds_renewals()

    def _saw_pod(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        before, after = self._members.note(name, new)
        if name == self._me.name and before is not None and (after is None or after.pod_uid != self._me.pod_uid):
            self.pod_gone_at = min(self.pod_gone_at, self._now())
        if place(before) != place(after) or (self._concerns(after) and role(before) != role(after)):
            self._wake()

    def _concerns(self, member: MemberView | None) -> bool:
        """Whether a member's role and state are this one's business: the leader's are everybody's, and everybody's are
        the leader's."""
        record = self.lock_record()
        holder = record.holder if record is not None else None
        if member is None or member.name == self._me.name:
            return False
        return holder in (None, self._me.name, member.name)
