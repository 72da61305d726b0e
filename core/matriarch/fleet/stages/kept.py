"""What a deleted cluster leaves on the volumes that are kept: which members have all that was acknowledged.

Its lock objects go with it, since a later cluster of that name would wait for a leader that is gone. Without the sync
object, a cluster that is made again on those volumes could be led by a member that lacks the newest commits: because
the others' volumes come up late, or because it has fewer members now. So what the sync object tells is noted on every
claim before it goes, laid down again in the new one, and taken off the claims once a primary serves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from matriarch.fleet.actions import Manifest, Patch
from matriarch.fleet.stages.claims import CLAIM, claims
from matriarch.fleet.stages.health import serves
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names
from matriarch.words.json_object import decode_object

LAST_SYNC = f"{labels.GROUP}/last-sync"
"""Annotation on a kept claim: what the sync object told last, as JSON."""
_KEYS = ("leader", "sync_standby", "quorum")


def noted(view: ClusterView) -> tuple[Patch, ...]:
    """For a cluster that is being deleted: writes on each claim what the sync object tells, where that is missing."""
    sync = view.child_annotations("Endpoints", names.sync_object(view.name))
    if not sync.get("leader"):
        return ()
    text = json.dumps({key: sync[key] for key in _KEYS if sync.get(key)}, separators=(",", ":"))
    return _annotated(view, text)


def kept(view: ClusterView) -> Mapping[str, str]:
    """Annotations for the sync object of a cluster that has not been initialised, from its claims.

    None, when the claims disagree, or when nobody whom they name has one: a person has removed those on purpose.
    """
    notes = {note for _, claim in claims(view) if (note := _note(claim))}
    if view.lock.initialized or len(notes) != 1:
        return {}
    told = decode_object(notes.pop()) or {}
    sync = {key: value for key in _KEYS if isinstance(value := told.get(key), str)}
    present = {names.member_name(view.name, ordinal) for ordinal, _ in claims(view)}
    return sync if present & set(_able(sync)) else {}


def out_of_reach(view: ClusterView, spec: Spec) -> tuple[str, ...]:
    """What a person has to be told when no member that is asked for has all that was acknowledged."""
    able = _able(kept(view)) if spec.synchronous.wire_mode else ()
    members = {names.member_name(view.name, ordinal) for ordinal in range(spec.instances)}
    if not able or members & set(able):
        return ()
    return (
        f"of the kept volumes only those of {' and '.join(able)} have all that was acknowledged: raise instances until "
        f"one of them is a member, or remove the annotation {LAST_SYNC} from the claims to do without",
    )


def forgotten(view: ClusterView) -> tuple[Patch, ...]:
    """Takes the notes off once a primary serves: from then on they are of the past."""
    served = view.lock.initialized and view.leader is not None and serves(view.leader)
    return _annotated(view, None) if served else ()


def _able(sync: Mapping[str, str]) -> tuple[str, ...]:
    """Who has every acknowledged commit, or in quorum mode enough of them together."""
    listed = (name.strip() for name in sync.get("sync_standby", "").split(","))
    return tuple(name for name in (sync.get("leader", ""), *listed) if name)


def _annotated(view: ClusterView, text: str | None) -> tuple[Patch, ...]:
    body = {"metadata": {"annotations": {LAST_SYNC: text}}}
    found = (claim for _, claim in claims(view) if _note(claim) != (text or ""))
    return tuple(Patch(CLAIM, claim["metadata"]["name"], body) for claim in found)


def _note(claim: Manifest) -> str:
    return str((claim["metadata"].get("annotations") or {}).get(LAST_SYNC) or "")
