"""What a deleted cluster leaves on the volumes that are kept: which members have all that was acknowledged.

Its lock objects go with it, since a later cluster of that name would wait for a leader that is gone. Without the sync
object, a cluster that is made again on those volumes could be led by a member that lacks the newest commits: because
the others' volumes come up late, or because it has fewer members now. So what the sync object tells is noted on every
claim before it goes, laid down again in the new one, and taken off the claims once a primary serves. A person who takes
the notes off earlier does without: what was laid down goes as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from matriarch.fleet.actions import Manifest, Patch, swapped
from matriarch.fleet.stages.claims import CLAIM, claims
from matriarch.fleet.stages.health import serves
from matriarch.fleet.sync_record import SyncRecord, read_sync
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import labels, names
from matriarch.words.json_object import decode_object

LAST_SYNC = f"{labels.GROUP}/last-sync"
"""Annotation on a kept claim: what the sync object told last, as JSON."""
FROM_NOTES = f"{labels.GROUP}/from-notes"
"""Annotation on a sync object: what was laid down in it from the claims, as JSON. The members leave it alone."""
_KEYS = ("leader", "sync_standby", "quorum")


def noted(view: ClusterView) -> tuple[Patch, ...]:
    """For a cluster that is being deleted: writes on each claim what the sync object tells, where that is missing.

    One that was led and names nobody was asynchronous in the end: notes that are still there are of the past.
    """
    name = names.sync_object(view.name)
    sync = view.child_annotations("Endpoints", name)
    if sync.get("leader"):
        return _annotated(view, _text(sync))
    asynchronous = view.child("Endpoints", name) is not None and view.lock.initialized
    return _annotated(view, None) if asynchronous else ()


def kept(view: ClusterView) -> Mapping[str, str]:
    """What the claims of a cluster that has not been initialised tell for its sync object.

    Nothing, when the claims disagree, or when too few of those whom they name have one: a person has removed the others
    on purpose.
    """
    notes = {note for _, claim in claims(view) if (note := _note(claim))}
    if view.lock.initialized or len(notes) != 1:
        return {}
    told = decode_object(notes.pop()) or {}
    sync = {key: value for key in _KEYS if isinstance(value := told.get(key), str)}
    present = {names.member_name(view.name, ordinal) for ordinal, _ in claims(view)}
    return sync if read_sync(sync).enough(present) else {}


def laid_down(view: ClusterView) -> Mapping[str, str]:
    """Annotations for the sync object that is to be made: what the claims tell, marked as such."""
    sync = kept(view)
    return {**sync, FROM_NOTES: _text(sync)} if sync else {}


def taken_back(view: ClusterView) -> tuple[Patch, ...]:
    """Empties the sync object that was laid down from notes, once a person has taken these off the claims.

    Only while it tells what was laid down, and nobody has ever led: from then on it is the members' own.
    """
    name = names.sync_object(view.name)
    live, sync = view.own("Endpoints", name), view.child_annotations("Endpoints", name)
    led = view.lock.initialized or view.lock.leader or view.status.timeline is not None
    if live is None or led or not sync.get("leader") or sync.get(FROM_NOTES) != _text(sync):
        return ()
    if any(_note(claim) for _, claim in claims(view)):
        return ()
    return (swapped("Endpoints", live, {"annotations": dict.fromkeys((*_KEYS, FROM_NOTES))}),)


def out_of_reach(view: ClusterView, spec: Spec) -> tuple[str, ...]:
    """What a person has to be told when the members that are asked for do not have all that was acknowledged."""
    if view.lock.initialized or not spec.synchronous.wire_mode:
        return ()
    name = names.sync_object(view.name)
    made = view.child("Endpoints", name) is not None
    sync = view.lock.sync if made else read_sync(kept(view))
    members = {names.member_name(view.name, ordinal) for ordinal in range(spec.instances)}
    if not sync.leader or sync.enough(members):
        return ()
    from_notes = not made or FROM_NOTES in view.child_annotations("Endpoints", name)
    where = f"{LAST_SYNC} from the claims" if from_notes else f"leader from Endpoints {name}"
    return (f"{_told(sync)} are members, or remove the annotation {where} to do without",)


def forgotten(view: ClusterView) -> tuple[Patch, ...]:
    """Takes the notes off once a primary serves: from then on they are of the past."""
    served = view.lock.initialized and view.leader is not None and serves(view.leader)
    return _annotated(view, None) if served else ()


def _told(sync: SyncRecord) -> str:
    leader, quorum = sync.leader, sync.quorum
    if not quorum:
        able = " and ".join((leader, *sync.standbys))
        return f"of the kept volumes only those of {able} have all that was acknowledged: raise instances until some"
    listed = ", ".join(sync.standbys)
    return (
        f"of the kept volumes only that of {leader}, or those of {quorum + 1} of {listed} together, have all that was "
        f"acknowledged: raise instances until {leader}, or so many of the others,"
    )


def _text(sync: Mapping[str, str]) -> str:
    return json.dumps({key: sync[key] for key in _KEYS if sync.get(key)}, separators=(",", ":"))


def _annotated(view: ClusterView, text: str | None) -> tuple[Patch, ...]:
    body = {"metadata": {"annotations": {LAST_SYNC: text}}}
    found = (claim for _, claim in claims(view) if _note(claim) != (text or ""))
    return tuple(Patch(CLAIM, claim["metadata"]["name"], body) for claim in found)


def _note(claim: Manifest) -> str:
    return str((claim["metadata"].get("annotations") or {}).get(LAST_SYNC) or "")
