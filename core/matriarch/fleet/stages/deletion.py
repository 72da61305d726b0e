"""Takes a cluster down: pods first, lock objects when no pod is left to write them again, the finalizer last."""

from __future__ import annotations

from matriarch.fleet.actions import Action, Delete, swapped
from matriarch.fleet.stages.claims import CLAIM, claims
from matriarch.fleet.stages.kept import noted
from matriarch.fleet.stages.objects import FINALIZER
from matriarch.fleet.stages.step import Step
from matriarch.fleet.view import ClusterView
from matriarch.words import names

GRACE_S = 60
"""Seconds for a member of a cluster that is being deleted: its data survives a crash, nobody waits for it."""
NOTES_S = 180.0
"""Seconds after which a deletion goes on although the volumes do not take the notes. The pods' end is among them."""


def deletion(view: ClusterView) -> Step | None:
    """The next step; None when nothing is left to do here."""
    if FINALIZER not in (view.resource["metadata"].get("finalizers") or []):
        return None
    phase = "Deleting"
    workload = view.own("StatefulSet", view.name)
    if workload is not None:
        gone = "deletionTimestamp" in workload["metadata"]
        removal = () if gone else (Delete("StatefulSet", view.name, workload["metadata"]["uid"], foreground=True),)
        return Step(phase, "removing the pods", (*removal, *_pods(view)), wake_after_s=5.0)
    if view.members:
        waiting = ", ".join(f"{one.name} (on node {one.node})" if one.node else one.name for one in view.members)
        return Step(phase, f"waiting for {waiting} to stop", _pods(view), wake_after_s=5.0)
    leftovers = _leftovers(view)
    notes = () if _wipes(view) or not leftovers else noted(view)
    if notes and (view.age_s(view.resource["metadata"].get("deletionTimestamp")) or 0.0) > NOTES_S:
        # They are tried once more: what is on the volumes is worth more with them, and the cluster has to end.
        return Step(phase, "removing the lock objects", (*notes, *leftovers), wake_after_s=2.0)
    if notes:
        return Step(phase, "noting on the volumes who has all that was acknowledged", notes, wake_after_s=1.0)
    if leftovers:
        return Step(phase, "removing the lock objects and what reclaimPolicy names", leftovers, wake_after_s=2.0)
    rest = [one for one in view.resource["metadata"]["finalizers"] if one != FINALIZER]
    return Step(phase, "done", (swapped("PostgresCluster", view.resource, {"finalizers": rest}),))


def _pods(view: ClusterView) -> tuple[Action, ...]:
    return tuple(Delete("Pod", one.name, one.uid, GRACE_S) for one in view.members if not one.deleting)


def _wipes(view: ClusterView) -> bool:
    return view.spec is not None and view.spec.storage.reclaim_policy == "Delete"


def _leftovers(view: ClusterView) -> tuple[Action, ...]:
    """What is to go with the cluster and is still there, also what is on its way out: the end waits for that."""
    cluster = view.name
    gone = [("Endpoints", name) for name in names.lock_object_names(cluster)]
    if _wipes(view):
        volumes = [(CLAIM, claim["metadata"]["name"]) for _, claim in claims(view, leaving=True)]
        secrets = (names.app_secret(cluster), names.replication_secret(cluster), names.superuser_secret(cluster))
        gone = [*volumes, *(("Secret", name) for name in secrets), *gone]
    found = ((kind, name, view.own(kind, name)) for kind, name in gone)
    return tuple(Delete(kind, name, live["metadata"]["uid"]) for kind, name, live in found if live is not None)
