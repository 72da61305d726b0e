"""The object graph of the operator, and its life: elected, watching, working, stopped."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import structlog

from matriarch.kube.api import CLUSTERS, Kube
from matriarch.words.errors import Forbidden, MatriarchError
from matriarch_operator import metrics
from matriarch_operator.election import NAME, Election
from matriarch_operator.execute import Executor
from matriarch_operator.health import Health
from matriarch_operator.informers import Children
from matriarch_operator.member_client import MemberClient, Members
from matriarch_operator.queue import KeyedQueue
from matriarch_operator.reconcile import Reconciler
from matriarch_operator.recorder import Recorder
from matriarch_operator.restarts import Restarts
from matriarch_operator.setbacks import Setbacks
from matriarch_operator.store import ClusterKey, Store

WORKERS = 4
VERIFY_S = 60.0
"""Seconds between two comparisons of the known PostgresClusters with those that exist: kopf tells nothing of what
vanished in a gap of its watch, and nothing at all when it started before the definition was served."""
DEFINITION_S = 2.0
RETRY_S = 10.0
"""Seconds between two attempts at a namespace that cannot be watched."""
MOVED_S = 15.0
"""Seconds after which a cluster is looked at because its members have written or replayed more: the status shows how
far each is behind."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the environment say. No `namespaces` means all of them."""

    namespaces: tuple[str, ...]
    own_namespace: str
    identity: str
    image: str
    health_port: int = 8080
    lease: str = NAME
    """Two releases in one namespace, each for namespaces of its own, must not stand in for each other."""


class Rewound(Exception):
    """The API server's data is older than what this process has seen: etcd was restored from a backup.

    Newer versions win everywhere here, so nothing that is known would ever be corrected: a new process knows nothing.
    """


class App:
    """Everything but kopf."""

    def __init__(self, kube: Kube, options: Options, members: Members | None = None) -> None:
        self.options = options
        self._kube = kube
        self.election = Election(kube, options.own_namespace, options.lease, options.identity)
        self.queue: KeyedQueue[ClusterKey] = KeyedQueue(random.random)
        self.returned = asyncio.Event()
        """Set when a namespace that could not be watched can be again."""
        self._refused: set[str | None] = set()
        self._clock = asyncio.get_running_loop().time
        self._setbacks = Setbacks(self._clock, random.random)
        self.store = Store(self.queue.add, self._asked, lambda key: self.queue.add_after(key, MOVED_S))
        self.children = Children(kube, options.namespaces, self.store, self._clock)
        restarts = Restarts(members or MemberClient(kube), self.queue.add)
        executor = Executor(kube, restarts, self.store, self._setbacks, lambda: self.election.leading)
        self.reconciler = Reconciler(
            kube, self.store, self.queue, executor, Recorder(kube), options.image, synced=self.children.synced
        )
        self.health = Health(self._stalls, self._refresh_metrics)

    async def run(self) -> None:
        """Watches the children and works off the queue until cancelled. Call when elected."""
        self.health.started = False  # a standby was ready to take over; at work is another matter
        async with asyncio.TaskGroup() as group:
            group.create_task(self.children.run(), name="children")
            await self.children.settled()
            await self.served()  # again: while this process stood by, clusters may have come and gone
            self.health.started = True
            log.info("watching", namespaces=self.options.namespaces or "all", clusters=len(self.store.clusters))
            for number in range(WORKERS):
                group.create_task(self.reconciler.work(), name=f"worker-{number}")
            group.create_task(self._verify(), name="verify")

    async def served(self) -> None:
        """Waits until PostgresClusters can be listed in some namespace, and takes up those that are there."""
        while True:
            try:
                await self._list()
            except MatriarchError as error:
                log.warning("PostgresClusters cannot be listed: is their definition installed?", error=str(error))
                await asyncio.sleep(DEFINITION_S)
            else:
                return

    async def _list(self) -> None:
        """Raises what the API server answered, and Rewound. A namespace among several that may not be listed is left
        for later; when none may be, that is raised."""
        found: set[ClusterKey] = set()
        refusals: list[Forbidden] = []
        wanted = self.options.namespaces or (None,)
        known = set(self.store.clusters)
        newest = max((int(one["metadata"]["resourceVersion"]) for one in self.store.clusters.values()), default=0)
        for namespace in wanted:
            try:
                listing = await self._kube.list(CLUSTERS, namespace)
            except Forbidden as error:
                self._refuse(namespace, error)
                refusals.append(error)
                continue
            if int(listing.version or newest) < newest:
                raise Rewound(f"version {newest} was seen, and the newest is {listing.version} now: starting anew")
            if namespace in self._refused:
                log.info("namespace can be watched again", namespace=namespace or "all")
                self._refused.discard(namespace)
                self.returned.set()
            for resource in listing.items:
                self.store.put_cluster(resource)
                found.add((resource["metadata"]["namespace"], resource["metadata"]["name"]))
        if len(refusals) == len(wanted):
            raise refusals[0]
        for key in known - found:
            if key[0] not in self._refused:
                await self.reconciler.verify(key)

    def _refuse(self, namespace: str | None, error: Forbidden) -> None:
        """It is gone, with our rights in it, or we have none yet. None stands for all namespaces."""
        if namespace not in self._refused:
            where = namespace or "all"
            log.warning("namespace cannot be watched yet: does it exist?", namespace=where, error=str(error))
            self._refused.add(namespace)

    async def _verify(self) -> None:
        while True:
            await asyncio.sleep(RETRY_S if self._refused else VERIFY_S)
            try:
                await self._list()
            except MatriarchError as error:
                log.warning("cannot verify", error=str(error))

    def _asked(self, key: ClusterKey) -> None:
        """A person changed what they ask for: it may cure what failed until now."""
        self._setbacks.forget(key)
        self.queue.hurry(key)

    def _stalls(self) -> dict[str, float]:
        if not self.election.leading:
            return {}
        return {"queue": self.queue.stalled_s(), "watch": self.children.silence_s()}

    def _refresh_metrics(self) -> None:
        metrics.CLUSTERS.set(len(self.store.clusters))
        metrics.WAITING.set(len(self.queue))
        metrics.LEADING.set(1 if self.election.leading else 0)
