"""Carries out a plan: one action after the other, and what each answered goes back into the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import structlog

from matriarch.fleet.actions import Action, Apply, Create, Delete, Patch, Restart, described
from matriarch.fleet.adopt import belonging
from matriarch.kube import api
from matriarch.kube.api import Kind, Kube, Object
from matriarch.spec.resource import GROUP_VERSION, KIND, status_body
from matriarch.spec.rest_api import AUTH_KEYS
from matriarch.spec.status import Status
from matriarch.words.errors import AlreadyExists, ConflictError, Invalid, NotFound, RefusedError
from matriarch_operator.member_client import Members
from matriarch_operator.metrics import ACTIONS
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def _check_login(secret: Object) -> None:
    """A person may have made a Secret of that name, with a password of their own. Raises Invalid when it has none."""
    absent = [key for key in AUTH_KEYS if key not in (secret.get("data") or {})]
    if absent:
        raise Invalid(f"it exists and lacks {', '.join(absent)}: add what is missing, or remove it for a new one")


class LookAgain(ConflictError):
    """The world is not as the plan assumed; the store now knows better."""


class Executor:
    """`allowed` is asked before each write: a process that lost the election must not finish its plan."""

    def __init__(self, kube: Kube, members: Members, store: Store, allowed: Callable[[], bool]) -> None:
        self._kube = kube
        self._members = members
        self._store = store
        self._allowed = allowed

    async def run(self, key: ClusterKey, uid: str, actions: tuple[Action, ...]) -> tuple[str, ...]:
        """Returns what was refused, in one line each: the rest does not depend on it, and goes on.

        Raises ConflictError and TransientError of the first action that met one; those after it were not begun.
        """
        refused = []
        for action in actions:
            self._fence()
            log.info("action", namespace=key[0], cluster=key[1], action=described(action))
            try:
                await self._one(key, uid, action)
            except RefusedError as error:
                refused.append(f"{described(action)}: {_first_line(error)}")
            ACTIONS.labels(type(action).__name__.lower()).inc()
        return tuple(refused)

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
                await self._members.restart(key[0], action)
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
        if kind is api.CLUSTERS:
            self._put_cluster(key, found)
        else:
            self._store.put_child(key, kind, found)

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
            self._store.drop_child(key, kind, action.name)
            return
        await self._refresh(key, kind, action.name)

    async def _refresh(self, key: ClusterKey, kind: Kind, name: str) -> None:
        try:
            found = await self._kube.get(kind, key[0], name)
        except NotFound:
            if kind is api.CLUSTERS:
                self._store.drop_cluster(key)
            else:
                self._store.drop_child(key, kind, name)
            return
        if kind is api.CLUSTERS:
            self._put_cluster(key, found)
        else:
            self._store.put_child(key, kind, found)

    def _put_cluster(self, key: ClusterKey, found: Object) -> None:
        """A PostgresCluster whose last finalizer has gone is deleted by the very patch that removed it."""
        metadata = found["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._store.drop_cluster(key)
        else:
            self._store.put_cluster(found)
