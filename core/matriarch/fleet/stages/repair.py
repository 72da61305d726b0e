"""Replaces outdated pods that nothing but the new template will cure: a rolling update would wait for them for ever.

What a member loses by being replaced decides for which of them that is:

* a pod that cannot start, an agent that has never spoken, a Postgres that does not start and an empty volume lose
  nothing;
* a Postgres that runs or starts and is not ready goes on from its last restartpoint, and the update would restart it
  anyway. But commits may wait for it, or be about to, so another one has to be there for them;
* a copy or a rewind would begin anew, and a Postgres that is stopped may be about to be rewound: those are waited for.
  A person who knows better deletes the pod, and it comes back with the new template.
"""

from __future__ import annotations

from matriarch.fleet.actions import Delete, Note
from matriarch.fleet.member import TEMPLATE_HASH, Member
from matriarch.fleet.stages.health import behind, is_well, never_initialised, serves, synchronous
from matriarch.fleet.stages.step import Step
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec

PHASE = "Rolling update"
_SERVER = ("running", "starting")
_AT_WORK = (
    "initializing new cluster",
    "running custom bootstrap script",
    "starting after custom bootstrap",
    "creating replica",
    "rewinding",
    "restarting",
    "stopping",
)


def outdated(view: ClusterView) -> list[Member]:
    """The members whose pods have another template than the StatefulSet that exists: a pod deleted now comes back with
    exactly that one."""
    live = view.own("StatefulSet", view.name)
    annotations = live["spec"]["template"]["metadata"].get("annotations") if live is not None else None
    wanted = (annotations or {}).get(TEMPLATE_HASH)
    return [member for member in view.members if member.template_hash != wanted] if wanted else []


def template_seen(view: ClusterView) -> bool:
    """Whether a pod deleted now would come back with the new template and not with the one before."""
    live = view.own("StatefulSet", view.name) or {}
    seen = (live.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= live.get("metadata", {}).get("generation", 0))


def replacing(member: Member, reason: str) -> Step:
    """Deletes a pod, so that the StatefulSet makes it anew; an event and the status tell the reason."""
    note = Note("ReplacingPod", f"replacing pod {member.name}: {reason}")
    return Step(PHASE, f"replacing {member.name}: {reason}", (Delete("Pod", member.name, member.uid),), (note,))


def repair(view: ClusterView, spec: Spec) -> Step | None:
    """Replaces one outdated pod that will not get well as it is; None when there is none, or it has to wait."""
    if view.paused or not template_seen(view):
        return None
    old = [member for member in outdated(view) if not member.deleting]
    stuck = [member for member in old if member.stuck and member.name != view.lock.leader]
    if stuck:
        # It does not run and never will with its old template: waiting for it would wait for ever.
        return replacing(stuck[0], f"it is stuck ({stuck[0].stuck})")
    if any(member.deleting for member in view.members) or _missing(view, spec):
        return None
    hopeless = _never_begun(view, old) if never_initialised(view) else _broken(view, spec, old)
    if not hopeless:
        return None
    one = max(hopeless, key=lambda member: (member.state not in _SERVER, behind(view, member), member.ordinal))
    return replacing(one, f"it is not well with its old template ({one.stuck or one.state or 'silent'})")


def _missing(view: ClusterView, spec: Spec) -> bool:
    """Whether a pod is still to be made: one at a time."""
    return not set(range(spec.instances)) <= {member.ordinal for member in view.members}


def _never_begun(view: ClusterView, old: list[Member]) -> list[Member]:
    """In a cluster without data; who holds the lock may be about to initialise it, unless it cannot even say so."""
    return [one for one in old if _holds_nothing(one) and (one.name != view.lock.leader or not _empty(one))]


def _broken(view: ClusterView, spec: Spec, old: list[Member]) -> list[Member]:
    """In a cluster whose primary serves, and once those that were replaced before are up or have failed."""
    leader = view.leader
    if leader is None or not serves(leader):
        return []
    current = [one for one in view.members if one not in old and one is not leader]
    if any(_on_its_way(one) for one in current):
        return []
    replicas = [one for one in old if one is not leader and not one.ready]
    return [one for one in replicas if _holds_nothing(one) or (one.state in _SERVER and _spared(view, spec, one))]


def _empty(member: Member) -> bool:
    return member.state == "stopped" and member.role == "uninitialized"


def _holds_nothing(member: Member) -> bool:
    """Whether there is nothing that could be interrupted."""
    if member.ready:
        return False
    return bool(member.stuck) or not member.state or member.state.endswith(" failed") or _empty(member)


def at_work(member: Member) -> bool:
    """Whether it does what would begin anew when it is interrupted, or ends soon by itself."""
    return not member.ready and not member.stuck and member.state in _AT_WORK


def _on_its_way(member: Member) -> bool:
    return at_work(member) or (not member.ready and not member.stuck and member.state in ("", "starting"))


def _spared(view: ClusterView, spec: Spec, member: Member) -> bool:
    """Whether the cluster can do without it: all others are well, or one of them still takes the primary's commits, by
    its own word and, in synchronous mode, by the primary's."""
    others = [one for one in view.members if one is not member and one is not view.leader]
    if all(is_well(view, one) for one in others):
        return True
    streaming = frozenset(one.name for one in others if one.state == "running" and one.streaming)
    return bool(streaming & synchronous(view) if spec.synchronous.enabled else streaming)
