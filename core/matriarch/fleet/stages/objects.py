"""The objects of a cluster: made when missing, applied again when they differ, left alone when somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matriarch.fleet.actions import Action, Apply, Create, Delete, Manifest, Patch, swapped
from matriarch.fleet.adopt import belonging
from matriarch.fleet.difference import differs, sealed
from matriarch.fleet.render.access import role, role_binding, service_account
from matriarch.fleet.render.secrets import respelled, secrets
from matriarch.fleet.render.services import services
from matriarch.fleet.render.settings import lock_objects
from matriarch.fleet.render.workload import disruption_budget, stateful_set
from matriarch.fleet.stages.health import serves
from matriarch.fleet.stages.kept import laid_down
from matriarch.fleet.stages.scaling import live_replicas
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names

FINALIZER = f"{labels.GROUP}/cleanup"
"""Holds the PostgresCluster until its pods are gone and its lock objects are removed: a member that is still alive
would write them again, and a later cluster of that name would wait for a leader that is gone. A lesson of
Zalando's operator."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be done so that every object is as it should be, and which names are taken by others."""

    actions: tuple[Action, ...]
    clashes: tuple[str, ...]


def ensure(view: ClusterView, spec: Spec, replicas: int) -> Wanted:
    """Everything in the order in which it is needed: the StatefulSet is last, its pods find all else in place."""
    actions: list[Action] = []
    clashes: list[str] = []
    for made in (*secrets(view, spec), *lock_objects(view, spec, laid_down(view))):
        kind, name = made["kind"], made["metadata"]["name"]
        if (kind, name) in view.facts.foreign:
            clashes.append(f"{kind} {name}")
        elif view.child(kind, name) is None and not _primary_makes(view, name):
            actions.append(Create(kind, made))
    actions.extend(_secret_that_follows(view, spec))
    actions.extend(_intruders(view))
    for intended in _applied(view, spec, replicas):
        kind, name = intended["kind"], intended["metadata"]["name"]
        live, intent = view.child(kind, name), sealed(intended)
        if (kind, name) in view.facts.foreign or (live is not None and view.own(kind, name) is None):
            clashes.append(f"{kind} {name}")
        elif kind == "StatefulSet" and (_would_meet(view, clashes) if live is None else _would_wait(view, live)):
            continue
        elif live is None or differs(intent, live):
            actions.append(Apply(kind, intent, observed=live is not None))
    actions.extend(_superfluous(view, replicas))
    return Wanted(tuple(actions), tuple(clashes))


def _would_meet(view: ClusterView, clashes: list[str]) -> bool:
    """Whether the members of a cluster that has never been would write where another one, called `<this one>-config` or
    so, keeps its lock: it waits until every name is its own."""
    return bool(clashes) and not view.lock.initialized


def _would_wait(view: ClusterView, live: Manifest) -> bool:
    """Whether new pods would wait for a Secret, or might: the members that run stay as they are until it is there.

    One that the operator may not read holds up nothing once the pods have it: the kubelet reads it for them.
    """
    volumes = (live["spec"]["template"].get("spec") or {}).get("volumes") or []
    mounted = {one["secret"].get("secretName") for one in volumes if one.get("secret")}
    return bool(view.facts.missing) or not view.facts.refused <= mounted


def _primary_makes(view: ClusterView, name: str) -> bool:
    """A primary that runs makes its lock and the settings again, as it knows them. An empty lock of ours would tell it
    that its lease is over; and what people set with patronictl, a cluster that this one follows for one, is in no
    spec."""
    records = (names.lock_object(view.name), names.config_object(view.name))
    return name in records and any(serves(one) for one in view.members)


def _applied(view: ClusterView, spec: Spec, replicas: int) -> Iterator[Manifest]:
    yield service_account(view)
    yield role(view)
    yield role_binding(view)
    yield from services(view, spec)
    budget = disruption_budget(view, _budgeted(view, replicas))
    if budget is not None:
        yield budget
    yield stateful_set(view, spec, replicas)


def _budgeted(view: ClusterView, replicas: int) -> int:
    """How many members the disruption budget counts: those that the StatefulSet has, and will have after this look.

    It is told of fewer only after its StatefulSet, which may wait or be refused: a node drain could evict several at
    once. Nor of more while that waits: no node could be drained.
    """
    live, told = view.own("StatefulSet", view.name), live_replicas(view)
    if live is None or told is None:
        return replicas
    return told if _would_wait(view, live) else max(told, replicas)


def _superfluous(view: ClusterView, replicas: int) -> Iterator[Action]:
    budget = view.child("PodDisruptionBudget", view.name)
    if _budgeted(view, replicas) == 1 and budget is not None and belonging(budget, view.name, view.uid) == "ours":
        yield Delete("PodDisruptionBudget", view.name, budget["metadata"]["uid"])


def _secret_that_follows(view: ClusterView, spec: Spec) -> Iterator[Action]:
    """Brings what the application's Secret says of the connection up to date with the password that a person gave it.

    By compare-and-swap, so that it is that password. A Secret that was made without our labels stays as it was made.
    """
    name = names.app_secret(view.name)
    live = view.own("Secret", name)
    if live is None or live.get("immutable"):
        return
    changes = respelled(view, spec, live.get("data") or {})
    if changes:
        yield swapped("Secret", live, {}, data=changes)


def _intruders(view: ClusterView) -> Iterator[Action]:
    """Takes away what somebody added where there must be nothing; an apply leaves alone what it never asked for.

    A selector on a Service of the lock objects: with it, the endpoints controller writes every ready pod's address over
    the lock's. The details of another update strategy: beside ours the API server refuses them.
    """
    for name in (names.primary_service(view.name), names.config_object(view.name)):
        if _own_spec(view, "Service", name).get("selector"):
            yield Patch("Service", name, {"spec": {"selector": None}})
    if (_own_spec(view, "StatefulSet", view.name).get("updateStrategy") or {}).get("rollingUpdate") is not None:
        ours = {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}
        yield Patch("StatefulSet", view.name, {"spec": ours})


def _own_spec(view: ClusterView, kind: str, name: str) -> Manifest:
    """The spec of an observed object; an empty one when it is absent or somebody else's."""
    return (view.own(kind, name) or {}).get("spec") or {}


def finalizer(view: ClusterView) -> Patch | None:
    """Puts our finalizer on the PostgresCluster before anything is made for it."""
    present = view.resource["metadata"].get("finalizers") or []
    if FINALIZER in present:
        return None
    return swapped("PostgresCluster", view.resource, {"finalizers": [*present, FINALIZER]})


def stale(view: ClusterView) -> tuple[Delete, ...]:
    """Lock objects that an earlier cluster of this name left behind.

    Only before this cluster has any pod or StatefulSet, and only objects that are older than the PostgresCluster (both
    times are the API server's) and do not belong to it: a running cluster never loses its lock objects to this rule.
    Settings without an owner and without `initialize` are of no earlier one: a person has laid them down for this.
    """
    if view.members or view.child("StatefulSet", view.name) is not None:
        return ()
    born = view.resource["metadata"].get("creationTimestamp") or ""
    found = []
    for name in names.lock_object_names(view.name):
        live = view.child("Endpoints", name)
        if live is None:
            continue
        whose = belonging(live, view.name, view.uid)
        prepared = name == names.config_object(view.name) and whose == "orphan" and not view.lock.initialized
        if whose == "ours" or prepared:
            continue
        if (live["metadata"].get("creationTimestamp") or born) < born:
            found.append(Delete("Endpoints", name, live["metadata"]["uid"]))
    return tuple(found)
