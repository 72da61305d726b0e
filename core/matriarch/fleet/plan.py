"""The operator's mind: from what was observed of a cluster to what is done about it. No clock, no IO, no chance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from matriarch.fleet.actions import Action, Note, Restart
from matriarch.fleet.stages.deletion import deletion
from matriarch.fleet.stages.kept import forgotten, out_of_reach, taken_back
from matriarch.fleet.stages.objects import ensure, finalizer, stale
from matriarch.fleet.stages.parameters import change_settings, restarts, unreadable
from matriarch.fleet.stages.repair import repair
from matriarch.fleet.stages.report import changed, report
from matriarch.fleet.stages.rollout import rollout
from matriarch.fleet.stages.scaling import Held, kept_volumes, replicas, scaling, volumes
from matriarch.fleet.stages.step import Step
from matriarch.fleet.stages.switchover import misspelled, requested, stalled, under_way
from matriarch.fleet.view import ClusterView
from matriarch.spec import rest_api
from matriarch.spec.cluster import Spec
from matriarch.spec.status import Status

SECRETS_S = 10.0
"""Between two looks for a Secret that is missing or may not be read, in seconds: nothing tells when that changes."""


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


def decide(view: ClusterView, trouble: tuple[str, ...] = (), undone: tuple[Action, ...] = ()) -> Plan:
    """The plan for one look. `trouble` holds what the last execution met, for the status.

    With `undone`, those of this plan's actions that were not carried out, it is what remains to be told of them: the
    status without what they would have brought about.
    """
    if view.deleting:
        return _reported(view, (), deletion(view), trouble, undone)
    if view.spec is None:
        return _reported(view, (), under_way(view), trouble, undone)
    mark = finalizer(view)
    if mark is not None:
        return Plan(actions=(mark,), wake_after_s=0.0)
    leftovers = stale(view)
    if leftovers:
        waiting = Step("Setting up", "removing lock objects of an earlier cluster of this name", wake_after_s=1.0)
        return _reported(view, leftovers, waiting, trouble, undone)
    return _kept(view, view.spec, trouble, undone)


def _kept(view: ClusterView, spec: Spec, trouble: tuple[str, ...], undone: tuple[Action, ...]) -> Plan:
    held = replicas(view, spec)
    wanted = ensure(view, spec, held.count)
    settings = change_settings(view, spec)
    # Notes before volumes: a growth that is refused must not keep them. Volumes before the procedure: a disk that is
    # full may be what its next step fails for.
    actions = (
        *wanted.actions,
        *taken_back(view),
        *((settings,) if settings is not None else ()),
        *forgotten(view),
        *volumes(view, spec),
    )
    clashes = tuple(
        f"{name} belongs to somebody else: remove it, or give this cluster another name" for name in wanted.clashes
    )
    volumes_left = (*kept_volumes(view, spec), *out_of_reach(view, spec))
    secrets = (*view.facts.missing, *rest_api.unreadable(spec.rest_api, view.facts.refused))
    troubles = (*trouble, *clashes, *volumes_left, *secrets, *unreadable(view), *misspelled(view))
    plan = _reported(view, actions, _procedure(view, spec, held), troubles, undone)
    if secrets:
        plan = replace(plan, wake_after_s=min(plan.wake_after_s or SECRETS_S, SECRETS_S))
    return plan


def _procedure(view: ClusterView, spec: Spec, held: Held) -> Step | None:
    """One procedure at a time, the one that people wait for first."""
    asked = under_way(view) or requested(view)
    if asked is not None:
        instead = _careful(view, repair(view, spec)) if stalled(view, asked) else None
        return instead or asked
    return _careful(view, scaling(view, spec, held) or rollout(view, spec) or restarts(view, spec))


def _careful(view: ClusterView, step: Step | None) -> Step | None:
    """The step, which only waits while nobody can read the settings: an agent that starts then never read them, and may
    not lead. And while a restart is under way, which its member may not show yet: all others are needed."""
    if step is None or not (step.actions or step.switchover):
        return step
    if unreadable(view):
        return Step(step.phase, f"{step.phase.lower()} waits until the settings can be read")
    if view.facts.restarting and not any(isinstance(action, Restart) for action in step.actions):
        return Step(step.phase, f"{step.phase.lower()} waits until {view.facts.restarting} has restarted")
    return step


def _reported(
    view: ClusterView,
    actions: tuple[Action, ...],
    found: Step | None,
    trouble: tuple[str, ...],
    undone: tuple[Action, ...],
) -> Plan:
    step = _so_far(_with_restart(found), undone) if found is not None else None
    told = report(view, step, trouble)
    status = told.status if changed(view.status, told.status) else None
    notes = (*(step.notes if step else ()), *(told.notes if status is not None else ()))
    more = step.actions if step else ()
    return Plan((*actions, *more), notes, status, step.wake_after_s if step else None)


def _with_restart(step: Step) -> Step:
    """A restart ends long after the look that began it: its events go with it."""
    if not any(isinstance(action, Restart) for action in step.actions):
        return step
    actions = (replace(one, told=step.notes) if isinstance(one, Restart) else one for one in step.actions)
    return replace(step, actions=tuple(actions), notes=())


def _so_far(step: Step, undone: tuple[Action, ...]) -> Step:
    """The step without its events and its record of a switchover, when one of its actions was not carried out.

    A switchover that counts as concluded while the annotation that asked for it is still there would be done again.
    """
    if not any(action in undone for action in step.actions):
        return step
    return replace(step, notes=(), switchover=None)
