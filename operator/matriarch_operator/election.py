"""Which of several operator processes is active: a Lease, held by whoever renewed it last.

A record is judged by when *this* process saw it change, on its own monotonic clock; the times in it are for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from matriarch.kube.api import LEASES, Kube, Object
from matriarch.words.errors import AlreadyExists, MatriarchError, NotFound

NAME = "matriarch-operator"
"""The Lease where the environment names none."""
DURATION_S = 15.0
RENEW_WITHIN_S = 10.0
RETRY_S = 2.0

log = structlog.get_logger(__name__)


class Election:
    """One candidate for the Lease `name`: those who share it stand in for each other.

    `identity` is the pod's name: a restarted container is the same candidate and need not wait.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, identity: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: tuple[str, float] = ("", 0.0)
        self._held: Object | None = None
        self._until = 0.0

    @property
    def leading(self) -> bool:
        """Whether this process may write: the Lease was ours when a renewal was sent, not too long ago.

        An answer that takes its time does not make the right to write any longer.
        """
        return self._held is not None and asyncio.get_running_loop().time() < self._until

    async def acquire(self) -> None:
        """Waits until the Lease is ours."""
        while True:
            if await self._attempt():
                break
            await asyncio.sleep(RETRY_S)
        log.info("election won", identity=self._identity)

    async def hold(self) -> None:
        """Renews until renewing has failed for too long; then this process must stop."""
        while self.leading:
            await asyncio.sleep(RETRY_S)
            await self._attempt()
        self._held = None
        log.error("election lost", identity=self._identity)

    async def release(self) -> None:
        """Gives the Lease back, so that the next one need not wait for it to run out."""
        held, self._held = self._held, None
        if held is None:
            return
        body = {"metadata": {"resourceVersion": held["metadata"]["resourceVersion"]}, "spec": {"holderIdentity": None}}
        await self._tolerant(lambda: self._kube.patch(LEASES, self._namespace, self._name, body, timeout=2.0))

    async def _attempt(self) -> bool:
        """Takes or renews the Lease by compare-and-swap; False when it is somebody else's or the API fails."""
        sent = asyncio.get_running_loop().time()
        lease = await self._tolerant(self._read)
        if lease is None:
            return False
        spec, version = lease.get("spec") or {}, lease["metadata"]["resourceVersion"]
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._run_out(version):
            self._held = None
            return False
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        change: Object = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION_S),
            "renewTime": now,
        }
        if holder != self._identity:
            change |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        body = {"metadata": {"resourceVersion": version}, "spec": change}
        written = await self._tolerant(lambda: self._kube.patch(LEASES, self._namespace, self._name, body, timeout=5.0))
        if written is not None:
            self._held, self._until = written, sent + RENEW_WITHIN_S
        return written is not None

    async def _read(self) -> Object:
        try:
            return await self._kube.get(LEASES, self._namespace, self._name, timeout=5.0)
        except NotFound:
            body: Object = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": {},
            }
            try:
                return await self._kube.create(LEASES, self._namespace, body, timeout=5.0)
            except AlreadyExists:
                return await self._kube.get(LEASES, self._namespace, self._name, timeout=5.0)

    def _run_out(self, version: str) -> bool:
        now = asyncio.get_running_loop().time()
        if version != self._seen[0]:
            self._seen = (version, now)
        return now - self._seen[1] > DURATION_S

    async def _tolerant(self, call: Callable[[], Awaitable[Object]]) -> Object | None:
        try:
            return await call()
        except MatriarchError as error:
            log.warning("election: request failed", error=str(error), kind=type(error).__name__)
            return None
