"""One look at a cluster: observe, decide, execute, report."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from matriarch.fleet.plan import Plan, decide
from matriarch.fleet.view import ClusterView, Facts, Passwords, observed
from matriarch.kube.api import CLUSTERS, SECRETS, Kube
from matriarch.spec.rest_api import missing
from matriarch.words.errors import ConflictError, MatriarchError, NotFound, RefusedError, TransientError
from matriarch_operator.execute import Executor
from matriarch_operator.metrics import LOOK_SECONDS, LOOKS
from matriarch_operator.queue import KeyedQueue
from matriarch_operator.recorder import Recorder
from matriarch_operator.store import ClusterKey, Store

PASSWORD_LENGTH = 32
SOON_S = (0.05, 30.0)
"""Delay in seconds before the next look after the first of several plans with actions, and the longest."""
RESYNC_S = 300.0
"""Seconds after which a cluster is looked at again though nothing happened; scattered, so that they do not march."""
_LETTERS = string.ascii_letters + string.digits

log = structlog.get_logger(__name__)


class Reconciler:
    """Works off the queue. `image` is the members' image where a manifest names none."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        queue: KeyedQueue[ClusterKey],
        executor: Executor,
        recorder: Recorder,
        image: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._store = store
        self._queue = queue
        self._executor = executor
        self._recorder = recorder
        self._image = image
        self._now = now
        self._trouble: dict[ClusterKey, tuple[str, ...]] = {}
        self._restless: dict[ClusterKey, int] = {}

    async def work(self) -> None:
        """Takes keys until cancelled. One such task is one worker."""
        while True:
            key = await self._queue.take()
            try:
                await self._handle(key)
            finally:
                self._queue.done(key)

    async def _handle(self, key: ClusterKey) -> None:
        """A look, and what its outcome means for the next one."""
        with LOOK_SECONDS.time():
            try:
                wake = await self.look(key)
                outcome = "done"
            except ConflictError as error:
                wake, outcome = None, "conflict"
                log.info("looking again", namespace=key[0], cluster=key[1], reason=str(error))
            except (TransientError, RefusedError) as error:
                wake, outcome = None, "failed"
                log.warning(
                    "look failed", namespace=key[0], cluster=key[1], error=str(error), kind=type(error).__name__
                )
        LOOKS.labels(outcome).inc()
        if outcome != "done":
            self._queue.failed(key)
            return
        self._queue.succeeded(key)
        if key in self._store.clusters:
            scattered = RESYNC_S * (0.75 + 0.5 * secrets.randbelow(1000) / 1000)
            self._queue.add_after(key, min(wake, RESYNC_S) if wake is not None else scattered)
        else:
            self._queue.forget(key)

    async def look(self, key: ClusterKey) -> float | None:
        """Returns the seconds until the plan wants another look, None when only a change or the resync shall bring one.

        Raises what the API server or a member answered; what was refused is told in status first.
        """
        view = self._observe(key)
        if view is None:
            self._trouble.pop(key, None)
            return None
        view = await self._with_secrets(view)
        before = self._trouble.pop(key, ())
        plan = decide(view, before)
        refused = await self._executor.run(key, view.uid, plan.actions)
        if refused != before:
            plan = decide(view, refused)
        await self._tell(key, view, plan)
        if refused:
            self._trouble[key] = refused
            raise RefusedError("; ".join(refused))
        return self._next_look(key, plan)

    def _next_look(self, key: ClusterKey, plan: Plan) -> float | None:
        """After actions, soon: until there is nothing more to do. A plan that never comes to rest is slowed down."""
        if not plan.actions:
            self._restless.pop(key, None)
            return plan.wake_after_s
        count = self._restless.get(key, 0)
        self._restless[key] = count + 1
        soon = min(SOON_S[1], SOON_S[0] * 2.0 ** min(count, 12))
        return soon if plan.wake_after_s is None else max(soon, plan.wake_after_s)

    async def _tell(self, key: ClusterKey, view: ClusterView, plan: Plan) -> None:
        for note in plan.notes:
            await self._recorder.record(dict(view.resource), note)
        if plan.status is not None and key in self._store.clusters:
            await self._executor.report(key, plan.status)

    def _observe(self, key: ClusterKey) -> ClusterView | None:
        resource = self._store.clusters.get(key)
        if resource is None:
            return None
        facts = Facts(
            now=self._now(),
            image=self._image,
            passwords=Passwords(_password(), _password(), _password()),
            foreign=self._store.foreign(key),
        )
        return observed(key[0], key[1], resource, self._store.children(key), facts)

    async def _with_secrets(self, view: ClusterView) -> ClusterView:
        """The view, with what the Secrets lack that the spec names. They are a person's and carry no label to watch."""
        if view.spec is None or view.deleting:
            return view
        found: dict[str, frozenset[str] | None] = {}
        for name, _ in view.spec.rest_api.secrets.values():
            try:
                secret = await self._kube.get(SECRETS, view.namespace, name)
                found[name] = frozenset(secret.get("data") or {})
            except NotFound:
                found[name] = None
        return replace(view, facts=replace(view.facts, missing=missing(view.spec.rest_api, found)))

    async def verify(self, key: ClusterKey) -> None:
        """Reads a PostgresCluster itself: a watch that had a gap does not tell what disappeared in it."""
        try:
            self._store.put_cluster(await self._kube.get(CLUSTERS, key[0], key[1]))
        except NotFound:
            self._store.drop_cluster(key)
        except MatriarchError as error:
            log.warning("cannot verify", namespace=key[0], cluster=key[1], error=str(error))


def _password() -> str:
    """Letters and digits only: it goes into URIs, JDBC URLs and pgpass files."""
    return "".join(secrets.choice(_LETTERS) for _ in range(PASSWORD_LENGTH))
