"""A member as the operator sees it: its pod, and what its agent says of itself in the pod's `status` annotation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matriarch.words import labels
from matriarch.words.json_object import decode_object

TEMPLATE_HASH = f"{labels.GROUP}/template-hash"
_ORDINAL = re.compile(r"-(\d{1,4})\Z")
UNSCHEDULABLE = "Unschedulable"
"""Why a pod is stuck that no node has room for."""
_STUCK = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of a cluster. Facts from the annotation may be missing: the agent has not spoken yet, or cannot."""

    name: str
    ordinal: int
    uid: str = ""
    address: str = ""
    node: str = ""
    ready: bool = False
    deleting: bool = False
    stuck: str = ""
    made_at: str = ""
    """When its pod was made, by the API server's clock."""
    template_hash: str = ""
    role: str = ""
    state: str = ""
    timeline: int | None = None
    location: int | None = None
    streaming: bool = False
    pending_restart: bool = False
    pending_reasons: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    refusal: str = ""
    rest_scheme: str = ""
    """How its REST API is asked, by its own word: `http` or `https`; empty before it has spoken."""

    @property
    def running(self) -> bool:
        """Whether its Postgres serves, by its own word and by its readiness."""
        return self.ready and not self.deleting and self.state == "running"


def read_member(pod: Mapping[str, Any]) -> Member | None:
    """A member from its pod, or None for a pod that is not one (its name carries no ordinal)."""
    metadata, status = pod["metadata"], pod.get("status", {})
    match = _ORDINAL.search(metadata["name"])
    if match is None:
        return None
    annotations = metadata.get("annotations") or {}
    said = decode_object(annotations.get(labels.STATUS)) or {}
    own = said.get("matriarch") if isinstance(said.get("matriarch"), dict) else {}
    return Member(
        name=metadata["name"],
        ordinal=int(match[1]),
        uid=metadata.get("uid", ""),
        address=status.get("podIP", ""),
        node=pod.get("spec", {}).get("nodeName", ""),
        ready=_is_ready(status),
        deleting="deletionTimestamp" in metadata or status.get("phase") in ("Failed", "Succeeded"),
        stuck=_stuck(status),
        made_at=metadata.get("creationTimestamp") or "",
        template_hash=annotations.get(TEMPLATE_HASH, ""),
        role=_text(said.get("role")),
        state=_text(said.get("state")),
        timeline=_number(said.get("timeline")),
        location=_number(said.get("xlog_location")),
        streaming=said.get("replication_state") == "streaming",
        pending_restart=said.get("pending_restart") is True,
        pending_reasons=_reasons(said.get("pending_restart_reason")),
        problems=_sentences(own.get("problems") if own else None),
        refusal=_text(own.get("switchover_refused") if own else None, 300),
        rest_scheme=next((one for one in ("https", "http") if _text(said.get("api_url")).startswith(f"{one}:")), ""),
    )


def _is_ready(status: Mapping[str, Any]) -> bool:
    # The pod's Ready condition and not the containers': the node controller clears it for a node that is gone.
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or [])


def _stuck(status: Mapping[str, Any]) -> str:
    """Why this pod will not start without a change, or an empty string."""
    for container in status.get("containerStatuses") or []:
        reason = ((container.get("state") or {}).get("waiting") or {}).get("reason", "")
        if reason in _STUCK:
            return str(reason)
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == UNSCHEDULABLE:
            return UNSCHEDULABLE
    return ""


def _text(value: object, limit: int = 63) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """A number that the status can carry: the API server takes 64 bits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _reasons(value: object) -> dict[str, tuple[str, str]]:
    if not isinstance(value, dict):
        return {}
    return {
        str(name): (str(change.get("old_value", "")), str(change.get("new_value", "")))
        for name, change in value.items()
        if isinstance(change, dict)
    }


def _sentences(value: object) -> tuple[str, ...]:
    return tuple(_text(one, 300) for one in value[:5] if isinstance(one, str)) if isinstance(value, list) else ()
