"""The operator's mind: from what was observed of a cluster to what is done about it. No clock, no IO, no chance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from matriarch.fleet.actions import Action, Note
from matriarch.fleet.stages.deletion import deletion
from matriarch.fleet.stages.objects import ensure, finalizer, stale
from matriarch.fleet.stages.parameters import change_settings, restarts, unreadable
from matriarch.fleet.stages.report import changed, report
from matriarch.fleet.stages.rollout import rollout
from matriarch.fleet.stages.scaling import replicas, scaling, volumes
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import requested, under_way
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.spec.status import Status

SECRETS_S = 10.0
"""Between two looks for a Secret that is missing, in seconds: nothing tells when a person makes it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: the actions in this order, then the events, then the status; and when to look again."""

    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    status: Status | None = None
    wake_after_s: float | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done: the fixpoint that every executed plan must come to."""
        return not self.actions and not self.notes and self.status is None


def decide(view: ClusterView, trouble: tuple[str, ...] = ()) -> Plan:
    """The plan for one look. `trouble` holds what the last execution was refused, for the status."""
    if view.deleting:
        return _reported(view, (), deletion(view), trouble)
    if view.spec is None:
        return _reported(view, (), under_way(view), trouble)
    mark = finalizer(view)
    if mark is not None:
        return Plan(actions=(mark,), wake_after_s=0.0)
    leftovers = stale(view)
    if leftovers:
        waiting = Step("Setting up", "removing lock objects of an earlier cluster of this name", wake_after_s=1.0)
        return _reported(view, leftovers, waiting, trouble)
    return _kept(view, view.spec, trouble)


def _kept(view: ClusterView, spec: Spec, trouble: tuple[str, ...]) -> Plan:
    wanted = ensure(view, spec, replicas(view, spec))
    settings = change_settings(view, spec)
    actions = (*wanted.actions, *((settings,) if settings is not None else ()))
    clashes = tuple(
        f"{name} belongs to somebody else: remove it, or give this cluster another name" for name in wanted.clashes
    )
    troubles = (*trouble, *clashes, *view.facts.missing, *unreadable(view))
    plan = _reported(view, actions, _procedure(view, spec), troubles)
    if view.facts.missing:
        plan = replace(plan, wake_after_s=min(plan.wake_after_s or SECRETS_S, SECRETS_S))
    # Last, since a storage class may refuse to grow volumes for ever.
    return replace(plan, actions=(*plan.actions, *volumes(view, spec)))


def _procedure(view: ClusterView, spec: Spec) -> Step | None:
    """One procedure at a time, the one that people wait for first."""
    return under_way(view) or requested(view) or scaling(view, spec) or rollout(view, spec) or restarts(view, spec)


def _reported(view: ClusterView, actions: tuple[Action, ...], step: Step | None, trouble: tuple[str, ...]) -> Plan:
    told = report(view, step, trouble)
    status = told.status if changed(view.status, told.status) else None
    notes = (*(step.notes if step else ()), *(told.notes if status is not None else ()))
    more = step.actions if step else ()
    return Plan((*actions, *more), notes, status, step.wake_after_s if step else None)
