"""Cluster settings, and the restarts that some of them need."""

from __future__ import annotations

from decimal import Decimal

from matriarch.fleet.actions import Note, Patch, Restart, swapped
from matriarch.fleet.member import Member
from matriarch.fleet.render.settings import CHANGED_AT, as_annotation, merged
from matriarch.fleet.stages.health import unwell
from matriarch.fleet.stages.step import Step
from matriarch.fleet.view import ClusterView, json_annotation
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names
from matriarch.words.json_object import decode_object
from matriarch.words.parameters import SHARED_MEMORY


def change_settings(view: ClusterView, spec: Spec) -> Patch | None:
    """Brings the spec's settings into force by compare-and-swap; None when they are, or when there is no object yet."""
    name = names.config_object(view.name)
    live = view.child("Endpoints", name)
    if live is None:
        return None
    document = json_annotation(view.child_annotations("Endpoints", name).get("config"))
    wanted = merged(document, spec, view.name)
    if wanted == document or unreadable(view):
        return None
    annotations = {"config": as_annotation(wanted), CHANGED_AT: view.facts.now.isoformat()}
    return swapped("Endpoints", live, {"annotations": annotations})


def unreadable(view: ClusterView) -> tuple[str, ...]:
    """What a person has to be told of settings that cannot be read; nothing when they can. The members go on with the
    last readable ones, and nothing is written over them: what patronictl set is nowhere else."""
    name = names.config_object(view.name)
    if decode_object(view.child_annotations("Endpoints", name).get("config") or "{}") is not None:
        return ()
    return (
        f"the settings cannot be read: correct the annotation `config` of Endpoints {name}, or remove it to put those "
        "of this PostgresCluster alone in force",
    )


def restarts(view: ClusterView, spec: Spec) -> Step | None:
    """Restarts one member whose settings need it; None when none does.

    A parameter of which a replica must not have less than the primary (after Patroni) is raised on the replicas first
    and lowered on the primary first. Each restart waits until all members are well again.
    """
    waiting = [member for member in view.members if member.pending_restart and not member.deleting]
    if not waiting or view.paused:
        return None
    phase = "Restarting"
    missing = unwell(view, spec.instances)
    if missing:
        return Step(phase, f"restarts wait for {missing}")
    settling = _settling(view, spec)
    if settling > 0:
        return Step(phase, "restarts wait until every member has read the settings", wake_after_s=settling)
    member = _next(view, waiting)
    role = view.role_of(member) if member.name == view.lock.leader else labels.ROLE_REPLICA
    what = f"Postgres of {role} {member.name}: {_changes(member)}"
    # The event goes with the restart, whose end comes long after this look.
    told = Note("RestartedPostgres", f"restarted {what}")
    return Step(phase, f"restarting {what}", (_restart(member, role, spec),), (told,), wake_after_s=2.0)


def _restart(member: Member, role: str, spec: Spec) -> Restart:
    tls, auth = spec.rest_api.tls, spec.rest_api.auth
    return Restart(
        member=member.name,
        address=member.address,
        role=role,
        scheme=member.rest_scheme or ("http" if tls is None else "https"),
        tls_secret=tls.secret_name if tls is not None else None,
        auth_secret=auth.secret_name if auth is not None else None,
    )


def _next(view: ClusterView, waiting: list[Member]) -> Member:
    replicas = [member for member in waiting if member.name != view.lock.leader]
    leader = next((member for member in waiting if member.name == view.lock.leader), None)
    if leader is None or (replicas and not _only_shrinks(waiting)):
        return replicas[0]
    return leader


def _only_shrinks(waiting: list[Member]) -> bool:
    changes = [change for member in waiting for name, change in member.pending_reasons.items() if name in SHARED_MEMORY]
    numbers = [(_number(old), _number(new)) for old, new in changes]
    known = [(old, new) for old, new in numbers if old is not None and new is not None]
    return bool(known) and len(known) == len(numbers) and all(new < old for old, new in known)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if text.isascii() and text.isdigit() else None


def _changes(member: Member) -> str:
    parts = [f"{name} {old} -> {new}" for name, (old, new) in sorted(member.pending_reasons.items())]
    return ", ".join(parts)[:300] or "settings changed"


def _settling(view: ClusterView, spec: Spec) -> float:
    """Seconds until every member has certainly read the last change: before that, the order would be a guess."""
    age = view.age_s(view.child_annotations("Endpoints", names.config_object(view.name)).get(CHANGED_AT))
    period = 2.0 * spec.failover.loop_wait
    return period - age if age is not None and 0 <= age < period else 0.0
