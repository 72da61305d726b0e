"""A little world for the operator: the fake API server, and actors that play controllers, kubelets and members.

The operator's own code is real: store, queue-free looks, executor, recorder. Time is the world's: it moves when told.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from matriarch.fleet.actions import Restart
from matriarch.fleet.render.workload import claim_name
from matriarch.kube import api
from matriarch.kube.api import Kind, Object
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.words import labels, names
from matriarch.words.errors import ConflictError, MatriarchError, NotFound, RefusedError, TransientError
from matriarch_operator.execute import CHILD_KINDS, Executor
from matriarch_operator.queue import KeyedQueue
from matriarch_operator.reconcile import Reconciler
from matriarch_operator.recorder import Recorder
from matriarch_operator.restarts import Restarts
from matriarch_operator.setbacks import Setbacks
from matriarch_operator.store import ClusterKey, Store

NAMESPACE = "db"
NAME = "demo"
KEY = (NAMESPACE, NAME)


class World:
    """One namespace with at most one cluster called `demo`."""

    def __init__(self) -> None:
        self.server = FakeKubeServer()
        self.server.store.graceful_pods = False
        self.kube = self.server.client("operator")
        self.outside = self.server.client("outside")
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.leading = True
        self.restarted: list[str] = []
        self.asked = 0
        self.slow: asyncio.Event | None = None
        self.switchovers: list[tuple[str, str]] = []
        self.refusing = False
        self.broken: set[str] = set()
        self.unwilling: MatriarchError | None = None
        self.pending: dict[str, dict[str, dict[str, str]]] = {}
        self.last_error: Exception | None = None
        self.wake: float | None = None
        self._lists: dict[Kind, dict[str, Object]] = {}
        self._records: dict[str, Object] = {}
        self.start_operator()

    def start_operator(self) -> None:
        """A new process that knows nothing yet: what an operator that was killed leaves to its successor."""
        self._lists = {}
        self.store = Store(lambda _: None, lambda key: self.setbacks.forget(key))
        self.queue: KeyedQueue[ClusterKey] = KeyedQueue(lambda: 0.5)
        self.setbacks = Setbacks(lambda: self.now.timestamp(), lambda: 0.5)
        self.restarts = Restarts(self, lambda _: None, settle_s=0.0)
        executor = Executor(self.kube, self.restarts, self.store, self.setbacks, lambda: self.leading)
        self.reconciler = Reconciler(
            self.kube,
            self.store,
            self.queue,
            executor,
            Recorder(self.kube),
            "matriarch/postgres:test",
            lambda: self.now,
        )

    # What people do

    async def apply(self, **spec: Any) -> Object:
        """Creates the PostgresCluster or merges into its spec."""
        try:
            return await self.outside.patch(api.CLUSTERS, NAMESPACE, NAME, {"spec": spec})
        except NotFound:
            body = {
                "apiVersion": "matriarch.dev/v1",
                "kind": "PostgresCluster",
                "metadata": {"name": NAME, "namespace": NAMESPACE},
                "spec": {"storage": {"size": "1Gi"}} | spec,
            }
            return await self.outside.create(api.CLUSTERS, NAMESPACE, body)

    async def annotate(self, key: str, value: str | None) -> None:
        body = {"metadata": {"annotations": {key: value}}}
        await self.outside.patch(api.CLUSTERS, NAMESPACE, NAME, body)

    async def cluster(self) -> Object:
        return await self.outside.get(api.CLUSTERS, NAMESPACE, NAME)

    async def status(self) -> Object:
        found = (await self.cluster()).get("status", {})
        assert isinstance(found, dict)
        return found

    async def everything(self, kind: Kind) -> dict[str, Object]:
        listing = await self.outside.list(kind, NAMESPACE)
        return {one["metadata"]["name"]: one for one in listing.items}

    async def events(self) -> list[str]:
        return sorted(one["reason"] for one in (await self.everything(api.EVENTS)).values())

    # The operator

    async def look(self) -> bool:
        """One look, with everything seen before. Whether it changed anything."""
        await self._see()
        before = self.server.store.version
        try:
            self.wake = await self.reconciler.look(KEY)
        except (ConflictError, TransientError, RefusedError) as error:
            self.last_error = error
        for _ in range(3):
            await asyncio.sleep(0)  # members answer
        return self.server.store.version != before

    async def settle(self, turns: int = 60) -> int:
        """Looks and actors in turn until nothing changes any more; returns how many turns it took."""
        quiet = 0
        for turn in range(turns):
            changed = await self.look()
            changed |= await self.act()
            quiet = 0 if changed else quiet + 1
            if quiet and (self.wake is None or quiet > 3):
                return turn
            self.now += timedelta(seconds=1 if changed or self.wake is None else self.wake)
        raise AssertionError(f"no rest after {turns} turns: {json.dumps(await self.status(), indent=1)}")

    async def _see(self) -> None:
        """What informers and kopf bring."""
        clusters = await self.everything(api.CLUSTERS)
        if NAME in clusters:
            self.store.put_cluster(clusters[NAME])
        else:
            self.store.drop_cluster(KEY)
        for kind in CHILD_KINDS:
            ours = labels.selector({labels.APPLICATION: labels.APPLICATION_VALUE})
            listing = await self.kube.list(kind, NAMESPACE, labels=ours)
            found = {one["metadata"]["name"]: one for one in listing.items}
            known = self._lists.get(kind, {})
            for name in known.keys() | found.keys():
                if known.get(name) is not found.get(name):
                    self.store.child_changed(kind, known.get(name), found.get(name))
            self._lists[kind] = found

    # The actors

    async def act(self) -> bool:
        """Controllers, kubelets and members each take a step. Whether one of them changed anything."""
        before = self.server.store.version
        await self._stateful_set_controller()
        await self._kubelets()
        await self._members()
        return self.server.store.version != before

    async def _stateful_set_controller(self) -> None:
        sets = await self.everything(api.STATEFUL_SETS)
        pods = await self.everything(api.PODS)
        if NAME not in sets:
            for name in pods:
                await self.outside.delete(api.PODS, NAMESPACE, name)
            return
        wanted = sets[NAME]
        seen = {"observedGeneration": wanted["metadata"]["generation"]}
        await self.outside.patch(api.STATEFUL_SETS, NAMESPACE, NAME, {"status": seen}, subresource="status")
        replicas = wanted["spec"]["replicas"]
        claims = await self.everything(api.CLAIMS)
        for ordinal in range(replicas):
            name = names.member_name(NAME, ordinal)
            claim = claim_name(NAME, ordinal)
            if claim not in claims:
                template = wanted["spec"]["volumeClaimTemplates"][0]
                metadata = {"name": claim, "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
                body = {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Bound"}}
                self.server.store.seed(api.CLAIMS, NAMESPACE, body)
            if name not in pods:
                template = wanted["spec"]["template"]
                metadata = {"name": name, "namespace": NAMESPACE, **template["metadata"]}
                self.server.store.seed(api.PODS, NAMESPACE, {"metadata": metadata, "spec": template["spec"]})
        for name in pods:
            if int(name.rsplit("-", 1)[1]) >= replicas:
                await self.outside.delete(api.PODS, NAMESPACE, name)

    async def _kubelets(self) -> None:
        for name, pod in (await self.everything(api.PODS)).items():
            ready = "False" if name in self.broken else "True"
            status = {"podIP": f"10.0.0.{int(name[-1]) + 1}", "conditions": [{"type": "Ready", "status": ready}]}
            if pod.get("status") != status:
                await self.outside.patch(api.PODS, NAMESPACE, name, {"status": status}, subresource="status")

    async def _members(self) -> None:
        pods = sorted(await self.everything(api.PODS))
        await self._records_again(pods)
        locks = await self.everything(api.ENDPOINTS)
        if not pods or not {NAME, names.failover_object(NAME)} <= locks.keys():
            return
        annotations = locks[NAME]["metadata"].get("annotations", {})
        leader = annotations.get("leader")
        able = [name for name in pods if name not in self.broken]
        if leader not in able and able:
            await self._lead(leader or "", able[0])
            leader = able[0]
        await self._follow_request(leader, locks[names.failover_object(NAME)])
        leader = (await self.everything(api.ENDPOINTS))[NAME]["metadata"]["annotations"].get("leader")
        await self._synchronous(leader, [name for name in able if name != leader])
        for name in pods:
            await self._say(name, leader)

    async def _records_again(self, pods: list[str]) -> None:
        """A primary that runs makes the lock and the settings again as it saw them last."""
        found = await self.everything(api.ENDPOINTS)
        for name in (names.lock_object(NAME), names.config_object(NAME)):
            if name in found:
                self._records[name] = found[name]["metadata"]
            elif pods and name in self._records:
                metadata = {key: self._records[name].get(key, {}) for key in ("labels", "annotations")}
                body = {"metadata": {"name": name, "namespace": NAMESPACE, **metadata}}
                await self.outside.create(api.ENDPOINTS, NAMESPACE, body)

    async def _lead(self, old: str, new: str) -> None:
        self.switchovers.append((old, new))
        body = {"metadata": {"annotations": {"leader": new, "renewTime": self.now.isoformat()}}}
        await self.outside.patch(api.ENDPOINTS, NAMESPACE, names.lock_object(NAME), body)
        mark = {"metadata": {"annotations": {"initialize": "7591234567890123456"}}}
        await self.outside.patch(api.ENDPOINTS, NAMESPACE, names.config_object(NAME), mark)

    async def _follow_request(self, leader: str | None, request: Object) -> None:
        asked = request["metadata"].get("annotations", {})
        if leader is None or not (asked.get("leader") or asked.get("member")):
            return
        others = [name for name in sorted(await self.everything(api.PODS)) if name not in {leader, *self.broken}]
        target = asked.get("member") or (others[0] if others else None)
        if target in others and not self.refusing:
            await self._lead(leader, target)
        done = {"metadata": {"annotations": {"leader": None, "member": None}}}
        await self.outside.patch(api.ENDPOINTS, NAMESPACE, names.failover_object(NAME), done)

    async def _synchronous(self, leader: str | None, replicas: list[str]) -> None:
        value = {"leader": leader, "sync_standby": ",".join(replicas) or None}
        body = {"metadata": {"annotations": value}}
        await self.outside.patch(api.ENDPOINTS, NAMESPACE, names.sync_object(NAME), body)

    async def _say(self, name: str, leader: str | None) -> None:
        role = "primary" if name == leader else "replica"
        said: dict[str, Any] = {"state": "running", "role": role, "timeline": 1, "xlog_location": 1000}
        if role == "replica":
            said["replication_state"] = "streaming"
        reasons = self.pending.get(name)
        if reasons:
            said |= {"pending_restart": True, "pending_restart_reason": reasons}
        body = {"metadata": {"annotations": {labels.STATUS: json.dumps(said)}, "labels": {labels.ROLE: role}}}
        await self.outside.patch(api.PODS, NAMESPACE, name, body)

    async def restart(self, namespace: str, wanted: Restart) -> None:
        """The members' REST interface."""
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.unwilling is not None:
            raise self.unwilling
        self.restarted.append(wanted.member)
        self.pending.pop(wanted.member, None)
