"""One look at a cluster: observe, decide, execute, report."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from matriarch.fleet.actions import Note, described
from matriarch.fleet.adopt import belonging
from matriarch.fleet.plan import Plan, decide
from matriarch.fleet.stages.report import bewildered
from matriarch.fleet.view import ClusterView, Facts, Passwords, observed
from matriarch.kube.api import CLUSTERS, SECRETS, Kube
from matriarch.spec.rest_api import missing
from matriarch.spec.status import Status
from matriarch.words.errors import ConflictError, Forbidden, MatriarchError, NotFound, RefusedError, TransientError
from matriarch_operator.execute import Executor, Outcome
from matriarch_operator.metrics import LOOK_SECONDS, LOOKS
from matriarch_operator.queue import KeyedQueue
from matriarch_operator.recorder import Recorder
from matriarch_operator.store import ClusterKey, Store

PASSWORD_LENGTH = 32
SOON_S = (0.05, 30.0)
"""Delay in seconds before the next look after the first of several plans with actions, and the longest."""
FOUGHT = 12
"""Plans with actions in a row that count as a fight, or as waiting for a finalizer: no procedure has so many."""
RESYNC_S = 300.0
"""Seconds after which a cluster is looked at again though nothing happened; scattered, so that they do not march."""
SYNC_S = 2.0
"""Seconds between two looks for whether a namespace has been listed."""
_LETTERS = string.ascii_letters + string.digits

log = structlog.get_logger(__name__)


class Reconciler:
    """Works off the queue. `image` is the members' image where a manifest names none.

    `synced` tells of a namespace whether every kind of object in it has been listed: before that, "missing" would only
    mean "not heard of yet".
    """

    def __init__(
        self,
        kube: Kube,
        store: Store,
        queue: KeyedQueue[ClusterKey],
        executor: Executor,
        recorder: Recorder,
        image: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        synced: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._kube = kube
        self._store = store
        self._queue = queue
        self._executor = executor
        self._recorder = recorder
        self._image = image
        self._now = now
        self._synced = synced
        self._trouble: dict[ClusterKey, tuple[str, ...]] = {}
        self._restless: dict[ClusterKey, int] = {}

    async def work(self) -> None:
        """Takes keys until cancelled. One such task is one worker."""
        while True:
            key = await self._queue.take()
            try:
                await self._handle(key)
            except Exception:  # the top frame: one cluster's bug must not end the work on all others
                LOOKS.labels("bug").inc()
                log.exception("bug", namespace=key[0], cluster=key[1])
                self._queue.failed(key)
                await self._confess(key)
            finally:
                self._queue.done(key)

    async def _handle(self, key: ClusterKey) -> None:
        """A look, and what its outcome means for the next one."""
        with LOOK_SECONDS.time():
            try:
                wake = await self.look(key)
                outcome = "refused" if key in self._trouble else "done"
            except ConflictError as error:
                wake, outcome = None, "conflict"
                log.info("looking again", namespace=key[0], cluster=key[1], reason=str(error))
            except (TransientError, RefusedError) as error:
                wake, outcome = None, "failed"
                log.warning(
                    "look failed", namespace=key[0], cluster=key[1], error=str(error), kind=type(error).__name__
                )
        LOOKS.labels(outcome).inc()
        if outcome in ("conflict", "failed"):
            self._queue.failed(key, hold=outcome == "failed")
            return
        self._queue.succeeded(key)
        if key in self._store.clusters:
            scattered = RESYNC_S * (0.75 + 0.5 * secrets.randbelow(1000) / 1000)
            self._queue.add_after(key, min(wake, RESYNC_S) if wake is not None else scattered)
        else:
            self._queue.forget(key)

    async def _confess(self, key: ClusterKey) -> None:
        """Tells people of a bug that a look at a cluster met, as far as the same bug lets us."""
        resource = self._store.clusters.get(key)
        if resource is None:
            return
        try:
            told = bewildered(resource, self._now())
            await self._executor.report(key, told.status)
            for note in told.notes:
                await self._recorder.record(dict(resource), note)
        except Exception:  # it is about a bug already: the log has to do
            log.exception("bug not told", namespace=key[0], cluster=key[1])

    async def look(self, key: ClusterKey) -> float | None:
        """Returns the seconds until the plan wants another look, None when only a change or the resync shall bring one.

        Raises what the API server answered, when that ended the look; it is told in status first, and so is what was
        refused, which ends nothing.
        """
        if key in self._store.clusters and not self._synced(key[0]):
            return SYNC_S
        await self._read_unwatched(key)
        view = self._observe(key)
        if view is None:
            self._trouble.pop(key, None)
            self._restless.pop(key, None)
            self._executor.forget(key)
            return None
        view = await self._with_secrets(view)
        before = self._trouble.pop(key, ())
        plan = decide(view, before)
        outcome = await self._executor.run(key, view.uid, plan.actions)
        told, trouble = plan, (*outcome.trouble, *self._fought(key, plan, outcome))
        if outcome.undone or trouble != before:
            told = decide(view, trouble, outcome.undone)
        if trouble:
            self._trouble[key] = trouble
        await self._tell(key, view, (*outcome.notes, *told.notes), told.status)
        if outcome.error is not None:
            raise outcome.error
        return self._next_look(key, plan, outcome)

    def _fought(self, key: ClusterKey, plan: Plan, outcome: Outcome) -> tuple[str, ...]:
        """What has been done over and over, for a person: a plan that never comes to rest says nothing by itself."""
        if not outcome.done or self._restless.get(key, 0) < FOUGHT:
            return ()
        done = dict.fromkeys(described(one) for one in plan.actions if one not in outcome.undone)
        why = "another program or a policy undoes it, or a finalizer holds it up"
        return (f"done again and again without effect: {', '.join(list(done)[:5])}; {why}",)

    def _next_look(self, key: ClusterKey, plan: Plan, outcome: Outcome) -> float | None:
        """After actions, soon: until there is nothing more to do. A plan that never comes to rest is slowed down."""
        wake = plan.wake_after_s
        if outcome.done:
            count = self._restless.get(key, 0)
            self._restless[key] = count + 1
            soon = min(SOON_S[1], SOON_S[0] * 2.0 ** min(count, 12))
            wake = max(soon, wake or 0.0)
        else:
            self._restless.pop(key, None)
        return min((one for one in (wake, outcome.retry_after_s) if one is not None), default=None)

    async def _tell(self, key: ClusterKey, view: ClusterView, notes: tuple[Note, ...], status: Status | None) -> None:
        for note in notes:
            await self._recorder.record(dict(view.resource), note)
        if status is not None and key in self._store.clusters:
            await self._executor.report(key, status)

    def _observe(self, key: ClusterKey) -> ClusterView | None:
        resource = self._store.clusters.get(key)
        if resource is None:
            return None
        facts = Facts(
            now=self._now(),
            image=self._image,
            passwords=Passwords(_password(), _password(), _password()),
            foreign=self._store.foreign(key),
            restarting=self._executor.restarting(key),
        )
        return observed(key[0], key[1], resource, self._store.children(key), facts)

    async def _read_unwatched(self, key: ClusterKey) -> None:
        """Reads again the Secrets that a person made without our labels: no watch tells when one of them has gone."""
        for (kind, name), known in self._store.children(key).items():
            if kind != SECRETS.name or belonging(known, key[1], "") != "foreign":
                continue
            try:
                self._store.put_child(key, SECRETS, await self._kube.get(SECRETS, key[0], name))
            except NotFound:
                self._store.drop_child(key, SECRETS, name)
            except Forbidden:
                log.warning("Secret cannot be read again", namespace=key[0], cluster=key[1], secret=name)

    async def _with_secrets(self, view: ClusterView) -> ClusterView:
        """The view, with what the Secrets lack that the spec names. They are a person's and carry no label to watch."""
        if view.spec is None or view.deleting:
            return view
        found: dict[str, frozenset[str] | None] = {}
        refused: set[str] = set()
        for name, _ in view.spec.rest_api.secrets.values():
            try:
                secret = await self._kube.get(SECRETS, view.namespace, name)
                found[name] = frozenset(secret.get("data") or {})
            except NotFound:
                found[name] = None
            except Forbidden:
                refused.add(name)
        lacking = missing(view.spec.rest_api, found)
        return replace(view, facts=replace(view.facts, missing=lacking, refused=frozenset(refused)))

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
