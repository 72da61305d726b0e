"""Other members' documents, read back: the `status` annotation of a pod and the answer to `GET /patroni`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from matriarch.ha.documents.vocabulary import ROLES, STATES
from matriarch.ha.documents.wire import (
    Document,
    decode_object,
    lsn_of,
    object_of,
    text_of,
    timeline_of,
    url_of,
)
from matriarch.ha.tags import tags_from
from matriarch.ha.view import MemberView, PeerAnswer
from matriarch.words.facts import with_changes
from matriarch.words.labels import STATUS


def status_of(pod: Mapping[str, Any]) -> Document:
    """A pod's decoded `status` annotation; empty when it is absent or cannot be read.

    The form of very old members, a plain connection string with the REST address as `application_name`, is accepted.
    """
    text = _inner(_inner(pod, "metadata"), "annotations").get(STATUS)
    return _document(text) if isinstance(text, str) else {}


@lru_cache(maxsize=64)
def _document(text: str) -> Document:
    """Asked for several times for each text; nobody may change what it gives."""
    if text.startswith("postgres"):
        return _legacy_status(text)
    return decode_object(text) or {}


def _inner(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, Mapping) else {}


def _legacy_status(text: str) -> Document:
    try:
        parts = urlsplit(text)
        api_url = parse_qs(parts.query, max_num_fields=8).get("application_name", [""])[0]
    except ValueError:
        return {}
    document: Document = {"conn_url": parts._replace(query="").geturl()}
    if api_url:
        document["api_url"] = api_url
    return document


def member_from_pod(pod: Mapping[str, Any]) -> MemberView:
    """What a pod tells about its member. Never raises; what cannot be read is unknown."""
    metadata = _inner(pod, "metadata")
    name, text = metadata.get("name"), _inner(metadata, "annotations").get(STATUS)
    where, uid = text_of(_inner(pod, "status"), "podIP"), text_of(metadata, "uid")
    name, text = name if isinstance(name, str) else "", text if isinstance(text, str) else ""
    return _member(name, text, where, uid, _grace(metadata))


def _grace(metadata: Mapping[str, Any]) -> float | None:
    return _seconds(metadata.get("deletionGracePeriodSeconds")) if "deletionTimestamp" in metadata else None


@lru_cache(maxsize=256)
def _member(name: str, text: str, pod_ip: str | None, uid: str | None, grace_s: float | None) -> MemberView:
    """A pod changes more often than its member's `status`, and decoding that is dear."""
    return with_changes(member_from_status(name, _document(text), pod_ip), pod_uid=uid, grace_s=grace_s)


def member_from_status(name: str, document: Mapping[str, Any], pod_ip: str | None = None) -> MemberView:
    """A member from its decoded `status` annotation."""
    conn_url = text_of(document, "conn_url")
    return MemberView(
        name=name,
        api_url=url_of(document, "api_url"),
        conn_url=conn_url if conn_url is not None and conn_url.startswith(("postgres://", "postgresql://")) else None,
        pod_ip=pod_ip,
        state=_word(document, "state", STATES),
        role=_role(document),
        timeline=timeline_of(document),
        lsn=_position(document),
        tags=tags_from(document.get("tags")),
        streaming=document.get("replication_state") == "streaming",
        checkpoint_after_promote=document.get("checkpoint_after_promote") is not False,
        capabilities=_words(object_of(document, "matriarch").get("capabilities")),
    )


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _word(document: Mapping[str, Any], key: str, vocabulary: tuple[str, ...]) -> str:
    word = document.get(key)
    return word if isinstance(word, str) and word in vocabulary else "unknown"


def _role(document: Mapping[str, Any]) -> str:
    return "primary" if document.get("role") == "master" else _word(document, "role", ROLES)


def _position(document: Mapping[str, Any]) -> int | None:
    known = [lsn_of(document, key) for key in ("xlog_location", "receive_lsn", "replay_lsn")]
    return max((lsn for lsn in known if lsn is not None), default=None)


def peer_answer_from(name: str, document: object, scope: str | None = None) -> PeerAnswer:
    """A peer's answer from the body of its `GET /patroni`, ours or a Patroni member's.

    A body that is no such document counts as no answer, and so does one in which another member, or a member of
    another cluster than `scope`, tells its name: a pod's address may have been given to somebody else.
    """
    if not isinstance(document, dict) or not _is_from(name, scope, object_of(document, "patroni")):
        return PeerAnswer(name=name, reachable=False)
    state = _word(document, "state", STATES)
    role = _role(document)
    xlog = object_of(document, "xlog") or object_of(document, "wal")
    location = lsn_of(xlog, "location")
    standby = [lsn_of(xlog, key) for key in ("received_location", "replayed_location")]
    tags = tags_from(document.get("tags"))
    return PeerAnswer(
        name=name,
        reachable=True,
        in_recovery=_in_recovery(role, location, bool(xlog)),
        empty=_is_empty(document, role),
        running=state == "running",
        timeline=timeline_of(document),
        lsn=location or max((lsn for lsn in standby if lsn is not None), default=None),
        nofailover=tags.nofailover or document.get("watchdog_failed") is True,
        priority=tags.failover_priority,
        sysid=text_of(document, "database_system_identifier"),
        heard_age=_seconds(object_of(document, "matriarch").get("heard_age")),
        certain=object_of(document, "matriarch").get("position_certain") is True,
        handed_over=object_of(document, "matriarch").get("handed_over") is True,
        promised=text_of(object_of(document, "matriarch"), "promised"),
        beside_record=object_of(document, "matriarch").get("beside_record") is True,
        unfit=text_of(object_of(document, "matriarch"), "unfit") or "",
    )


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return float(value)


def _is_from(name: str, scope: str | None, identity: Mapping[str, Any]) -> bool:
    if identity.get("name", name) != name:
        return False
    return scope is None or identity.get("scope", scope) == scope


def _in_recovery(role: str, location: int | None, told: bool) -> bool | None:
    """A primary tells a `location` or its role; a standby tells its positions (after Patroni)."""
    if location or role == "primary":
        return False
    return True if told else None


def _is_empty(document: Mapping[str, Any], role: str) -> bool:
    data = object_of(document, "matriarch").get("data")
    return data == "empty" if isinstance(data, str) else role == "uninitialized"
