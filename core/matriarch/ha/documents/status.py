"""The `status` annotation of a member's own pod (after Patroni)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matriarch.ha.documents.facts import CAPABILITIES, PATRONI_VERSION, VERSION
from matriarch.ha.documents.vocabulary import role_of, state_of
from matriarch.ha.postgres_view import DISK_FULL, DISK_FULL_BYTES
from matriarch.ha.rules import slots
from matriarch.ha.tags import tags_document
from matriarch.ha.view import Me, MemberView, View
from matriarch.words.names import POSTGRES_PORT, REST_PORT

LONGEST_PROBLEM = 300
MOST_PROBLEMS = 10


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def api_url(me: Me) -> str:
    """Where a member's REST API is, as it goes to other members."""
    return f"{me.rest_scheme}://{_host(me.pod_ip)}:{REST_PORT}/patroni"


def asked_at(me: Me, member: MemberView) -> tuple[str, ...]:
    """Where to ask another member: where it says, and where its pod is now, if that is another place. Its machine may
    have come back with a new address while the API server takes no writes, so that it could not say so.

    Who has not spoken yet is asked at its pod; all members of a cluster are made from one template.
    """
    told, address = member.api_url, member.pod_ip
    if not address:
        return (told,) if told else ()
    here = api_url(replace(me, pod_ip=address))
    if told is None:
        return (here,)
    return (told,) if f"//{_host(address)}:" in told else (told, here)


def conn_url(me: Me) -> str:
    """Where a member's Postgres is; without credentials."""
    return f"postgres://{_host(me.pod_ip)}:{POSTGRES_PORT}/postgres"


def status_document(view: View) -> dict[str, Any]:
    """What this member tells the cluster about itself. Keys that do not apply are absent."""
    document: dict[str, Any] = {
        "conn_url": conn_url(view.me),
        "api_url": api_url(view.me),
        "state": state_of(view),
        "role": role_of(view),
        "version": PATRONI_VERSION,
    }
    if view.lock.leader == view.me.name and not view.memory.checkpointed:
        document["checkpoint_after_promote"] = False
    tags = tags_document(view.me.tags)
    if tags:
        document["tags"] = tags
    if view.postgres.pending_restart:
        document["pending_restart"] = True
        document["pending_restart_reason"] = pending_reason(view)
    document.update(_positions(view))
    if view.memory.scheduled_restart is not None:
        document["scheduled_restart"] = view.memory.scheduled_restart.status_document()
    if view.settings.pause:
        document["pause"] = True
    ours: dict[str, Any] = {"version": VERSION, "capabilities": list(CAPABILITIES)}
    refused = {**view.postgres.refused, **slots.problems(view), **view.settings.commands.problems}
    problems = [f"{name} is not in force: {why}"[:LONGEST_PROBLEM] for name, why in sorted(refused.items())]
    if view.postgres.failures and view.postgres.last_error:
        problems.insert(0, f"Postgres does not start: {view.postgres.last_error}"[:LONGEST_PROBLEM])
    if view.memory.clone_complaint and view.postgres.process == "stopped":
        problems.insert(0, f"The data cannot be copied: {view.memory.clone_complaint}"[:LONGEST_PROBLEM])
    if view.postgres.disk_full:
        problems.insert(0, f"{DISK_FULL}: less than {DISK_FULL_BYTES >> 20} MiB are left on the volume")
    if problems:
        ours["problems"] = problems[:MOST_PROBLEMS]
    document["matriarch"] = ours
    return document


def pending_reason(view: View) -> dict[str, dict[str, str]]:
    """Which parameters wait for a restart, with their old and new values."""
    return {name: dict(values) for name, values in sorted(view.postgres.pending_restart.items())}


def _positions(view: View) -> dict[str, Any]:
    postgres = view.postgres
    if postgres.process not in ("running", "starting"):
        return {}
    document: dict[str, Any] = {}
    if postgres.lsn is not None:
        document["xlog_location"] = postgres.lsn
    if postgres.in_recovery:
        if postgres.replayed_lsn is not None:
            document["replay_lsn"] = postgres.replayed_lsn
        if postgres.received_lsn is not None:
            document["receive_lsn"] = postgres.received_lsn
        if postgres.replication_state is not None:
            document["replication_state"] = postgres.replication_state
    if postgres.timeline is not None:
        document["timeline"] = postgres.timeline
    return document
