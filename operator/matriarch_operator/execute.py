"""Carries out a plan: one action after the other, and what each answered goes back into the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import structlog

from matriarch.fleet.actions import Action, Apply, Create, Delete, Note, Patch, Restart, described
from matriarch.fleet.adopt import belonging
from matriarch.kube import api
from matriarch.kube.api import Kind, Kube, Object
from matriarch.spec.resource import GROUP_VERSION, KIND, status_body
from matriarch.spec.rest_api import AUTH_KEYS
from matriarch.spec.status import Status
from matriarch.words.errors import (
    AlreadyExists,
    ConflictError,
    Invalid,
    MatriarchError,
    NotFound,
    RefusedError,
    TransientError,
)
from matriarch_operator.metrics import ACTIONS
from matriarch_operator.restarts import Restarts
from matriarch_operator.setbacks import Setbacks, first_line
from matriarch_operator.store import ClusterKey, Store

MANAGER = "matriarch-operator"
STATUS_MANAGER = "matriarch-operator-status"
CHILD_KINDS: tuple[Kind, ...] = (
    api.ENDPOINTS,
    api.PODS,
    api.SERVICES,
    api.SECRETS,
    api.CLAIMS,
    api.SERVICE_ACCOUNTS,
    api.ROLES,
    api.ROLE_BINDINGS,
    api.STATEFUL_SETS,
    api.BUDGETS,
)
KINDS = {kind.name: kind for kind in (*CHILD_KINDS, api.CLUSTERS)}

log = structlog.get_logger(__name__)


def _check_login(secret: Object) -> None:
    """A person may have made a Secret of that name, with a password of their own. Raises Invalid when it has none."""
    absent = [key for key in AUTH_KEYS if key not in (secret.get("data") or {})]
    if absent:
        raise Invalid(f"it exists and lacks {', '.join(absent)}: add what is missing, or remove it for a new one")


def _by_itself(action: Action) -> bool:
    """Whether nothing that follows builds on it: a volume that cannot be changed must hold up no procedure."""
    return isinstance(action, Patch) and action.kind == api.CLAIMS.name


class LookAgain(ConflictError):
    """The world is not as the plan assumed; the store now knows better."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan's actions."""

    done: int
    """How many were carried out. A restart that was begun is not."""
    undone: tuple[Action, ...]
    """Those that were not: refused, failed, resting after that, under way, or not begun."""
    trouble: tuple[str, ...]
    """What a person has to know, in sentences."""
    notes: tuple[Note, ...]
    """The events of what was begun earlier and is over now."""
    retry_after_s: float | None
    """Seconds until one that rests may be tried again."""
    error: MatriarchError | None
    """What made those after it wait: a ConflictError or a TransientError."""


class Executor:
    """`allowed` is asked before each write: a process that lost the election must not finish its plan.

    What is refused rests, and holds up nothing else; the same goes for restarts, which run on their own, and for
    whatever a change of a volume meets.
    """

    def __init__(
        self, kube: Kube, restarts: Restarts, store: Store, setbacks: Setbacks, allowed: Callable[[], bool]
    ) -> None:
        self._kube = kube
        self._restarts = restarts
        self._store = store
        self._setbacks = setbacks
        self._allowed = allowed
        self._stumbled: dict[ClusterKey, str] = {}

    async def run(self, key: ClusterKey, uid: str, actions: tuple[Action, ...]) -> Outcome:
        """Carries out what it can. Only a process that is not the active one any more raises: LookAgain."""
        notes = self._collect(key, actions)
        undone: list[Action] = []
        error: MatriarchError | None = None
        failing = ""
        for number, action in enumerate(actions):
            if self._waits(key, action):
                undone.append(action)
                continue
            self._fence()
            log.info("action", namespace=key[0], cluster=key[1], action=described(action))
            ACTIONS.labels(type(action).__name__.lower()).inc()
            try:
                await self._one(key, uid, action)
            except (RefusedError, ConflictError, TransientError) as met:
                if not (isinstance(met, RefusedError) or _by_itself(action)):
                    undone += actions[number:]
                    error, failing = met, described(action)
                    break
                word = "refused" if isinstance(met, RefusedError) else "failed"
                log.warning(word, namespace=key[0], cluster=key[1], action=described(action), error=str(met))
                self._setbacks.met(key, action, met)
                undone.append(action)
                continue
            if isinstance(action, Restart):
                undone.append(action)
            else:
                self._setbacks.over(key, action)
        trouble = self._setbacks.sentences(key)
        if error is not None and self._stumbled.get(key) == failing:
            # Once is nothing: a conflict passes with the next look.
            trouble += (f"{failing}: {first_line(error)}",)
        self._stumbled[key] = failing
        done = len(actions) - len(undone)
        rest = self._setbacks.next_s(key, restarting=self._restarts.under_way(key) is not None)
        return Outcome(done, tuple(undone), trouble, notes, rest, error)

    def restarting(self, key: ClusterKey) -> str:
        """The member whose Postgres was asked to restart and has not answered yet; empty when there is none."""
        found = self._restarts.under_way(key)
        return found.member if found is not None else ""

    def forget(self, key: ClusterKey) -> None:
        """The cluster is gone."""
        self._setbacks.forget(key)
        self._stumbled.pop(key, None)
        self._restarts.ended(key)

    def _collect(self, key: ClusterKey, actions: tuple[Action, ...]) -> tuple[Note, ...]:
        """Takes note of a restart's end, and forgets what is not wanted any more; returns the events to tell."""
        ended, running = self._restarts.ended(key), self._restarts.under_way(key)
        if ended is None:
            # While it restarts the plan does not ask for it: its member is not well.
            self._setbacks.keep(key, actions if running is None else (*actions, running))
            return ()
        self._setbacks.keep(key, (*actions, ended.wanted))
        if ended.error is not None:
            log.warning("restart failed", namespace=key[0], member=ended.wanted.member, error=str(ended.error))
            self._setbacks.met(key, ended.wanted, ended.error)
            return ()
        self._setbacks.over(key, ended.wanted)
        return ended.wanted.told

    def _waits(self, key: ClusterKey, action: Action) -> bool:
        if isinstance(action, Restart) and self._restarts.under_way(key) is not None:
            return True
        return self._setbacks.resting(key, action)

    async def report(self, key: ClusterKey, status: Status) -> None:
        """Writes the status."""
        self._fence()
        body: Object = {
            "apiVersion": GROUP_VERSION,
            "kind": KIND,
            "metadata": {"name": key[1], "namespace": key[0]},
            "status": status_body(status),
        }
        try:
            found = await self._kube.apply(
                api.CLUSTERS, key[0], key[1], body, manager=STATUS_MANAGER, subresource="status"
            )
        except NotFound:
            # Its finalizer was released a moment ago. An apply never creates through the status subresource.
            self._store.drop_cluster(key)
            return
        self._store.put_cluster(found)

    def _fence(self) -> None:
        if not self._allowed():
            raise LookAgain("this process is not the active one any more")

    async def _one(self, key: ClusterKey, uid: str, action: Action) -> None:
        match action:
            case Apply():
                await self._apply(key, uid, action)
            case Create():
                await self._create(key, uid, action)
            case Patch():
                await self._patch(key, action)
            case Delete():
                await self._delete(key, action)
            case Restart():
                self._restarts.begin(key, action)
            case _:
                assert_never(action)

    async def _apply(self, key: ClusterKey, uid: str, action: Apply) -> None:
        kind, name = KINDS[action.kind], action.name
        if not action.observed:
            await self._look_first(key, uid, kind, name)
        found = await self._kube.apply(kind, key[0], name, dict(action.body), manager=MANAGER)
        self._store.put_child(key, kind, found)

    async def _look_first(self, key: ClusterKey, uid: str, kind: Kind, name: str) -> None:
        """An object that our watch does not show may exist all the same: without our labels, or too new for it."""
        try:
            found = await self._kube.get(kind, key[0], name)
        except NotFound:
            return
        if belonging(found, key[1], uid) == "foreign":
            self._store.mark_foreign(key, (kind.name, name))
        else:
            self._store.put_child(key, kind, found)
        raise LookAgain(f"{kind.name} {name} exists already")

    async def _create(self, key: ClusterKey, uid: str, action: Create) -> None:
        kind = KINDS[action.kind]
        try:
            found = await self._kube.create(kind, key[0], dict(action.body))
        except AlreadyExists:
            found = await self._kube.get(kind, key[0], action.name)
            if kind is api.SECRETS:
                _check_login(found)
            elif belonging(found, key[1], uid) == "foreign":
                # Members would write the lock of this cluster over what somebody else keeps there.
                self._store.mark_foreign(key, (kind.name, action.name))
                raise LookAgain(f"{kind.name} {action.name} exists already") from None
        self._store.put_child(key, kind, found)

    async def _patch(self, key: ClusterKey, action: Patch) -> None:
        kind = KINDS[action.kind]
        try:
            found = await self._kube.patch(kind, key[0], action.name, dict(action.body))
        except ConflictError:
            await self._refresh(key, kind, action.name)
            raise
        self._seen(key, kind, found)

    async def _delete(self, key: ClusterKey, action: Delete) -> None:
        kind = KINDS[action.kind]
        try:
            await self._kube.delete(
                kind,
                key[0],
                action.name,
                propagation="Foreground" if action.foreground else "Background",
                preconditions={"uid": action.uid},
                grace_period_s=action.grace_s,
            )
        except NotFound:
            self._gone(key, kind, action.name)
            return
        await self._refresh(key, kind, action.name)

    async def _refresh(self, key: ClusterKey, kind: Kind, name: str) -> None:
        try:
            found = await self._kube.get(kind, key[0], name)
        except NotFound:
            self._gone(key, kind, name)
        else:
            self._seen(key, kind, found)

    def _seen(self, key: ClusterKey, kind: Kind, found: Object) -> None:
        metadata = found["metadata"]
        if kind is not api.CLUSTERS:
            self._store.put_child(key, kind, found)
        elif "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            # A PostgresCluster whose last finalizer has gone is deleted by the very patch that removed it.
            self._store.drop_cluster(key, metadata["uid"])
        else:
            self._store.put_cluster(found)

    def _gone(self, key: ClusterKey, kind: Kind, name: str) -> None:
        if kind is api.CLUSTERS:
            self._store.drop_cluster(key)
        else:
            self._store.drop_child(key, kind, name)
