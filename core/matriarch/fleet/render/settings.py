"""Cluster settings in Patroni's dynamic-configuration format, and the four lock objects that hold state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from matriarch.fleet.render.meta import metadata
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.spec.parameters import as_text
from matriarch.spec.quantity import parse_bytes
from matriarch.spec.tags import wire_tags
from matriarch.words import labels, names

CHANGED_AT = f"{labels.GROUP}/settings-changed-at"


def settings(spec: Spec, cluster: str) -> dict[str, Any]:
    """The settings that the spec of `cluster` determines, in wire names (after Patroni)."""
    postgresql: dict[str, Any] = {
        "parameters": {name: as_text(value) for name, value in sorted(spec.parameters.items())},
        "use_pg_rewind": True,
    }
    if spec.pg_hba:
        postgresql["pg_hba"] = list(spec.pg_hba)
    if spec.pg_ident:
        postgresql["pg_ident"] = list(spec.pg_ident)
    found: dict[str, Any] = {
        "ttl": spec.failover.ttl,
        "loop_wait": spec.failover.loop_wait,
        "retry_timeout": spec.failover.retry_timeout,
        "maximum_lag_on_failover": parse_bytes(spec.failover.maximum_lag),
        "failsafe_mode": spec.failover.failsafe,
        "synchronous_mode": spec.synchronous.wire_mode,
        "synchronous_mode_strict": spec.synchronous.strict,
        "synchronous_node_count": spec.synchronous.count,
        "postgresql": postgresql,
    }
    if spec.paused:
        found["pause"] = True
        found[PAUSE_FROM_SPEC] = True
    if spec.standby is not None:
        other: dict[str, Any] = {"host": spec.standby.host, "port": spec.standby.port}
        if spec.standby.slot_name is not None:
            other["primary_slot_name"] = spec.standby.slot_name
        found["standby_cluster"] = {**other, FROM_SPEC: True}
    if spec.tags:
        found["member_tags"] = wire_tags(cluster, spec.tags)
    return found


FROM_SPEC = "from_spec"
"""Marks a section that the spec asked for: taking it out of the spec takes it away. One that a person wrote with
patronictl stays: removing that would promote a cluster that was meant to follow."""
PAUSE_FROM_SPEC = "pause_from_spec"
"""The same mark for `pause`: a cluster that a person paused with patronictl stays so until a person resumes it."""
_OPTIONAL = ("member_tags",)
_OPTIONAL_POSTGRESQL = ("pg_hba", "pg_ident")


def merged(live: dict[str, Any], spec: Spec, cluster: str) -> dict[str, Any]:
    """The live settings with ours in force. Keys that the spec does not determine stay: people may set them."""
    wanted = settings(spec, cluster)
    before = live.get("postgresql")
    postgresql = {
        key: value
        for key, value in (before if isinstance(before, dict) else {}).items()
        if key not in _OPTIONAL_POSTGRESQL
    }
    rest = {key: value for key, value in live.items() if key not in _OPTIONAL}
    if rest.pop(PAUSE_FROM_SPEC, None) is True:
        rest.pop("pause", None)
    other = rest.get("standby_cluster")
    if isinstance(other, dict) and other.get(FROM_SPEC) is True:
        del rest["standby_cluster"]
    return {**rest, **wanted, "postgresql": {**postgresql, **wanted["postgresql"]}}


def as_annotation(document: dict[str, Any]) -> str:
    """Compact JSON, as Patroni writes it."""
    return json.dumps(document, separators=(",", ":"))


def lock_objects(view: ClusterView, spec: Spec, sync: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """The Endpoints objects as they are first created, the sync object with what is known already. From then on they
    belong to the members."""
    cluster = view.name
    state = {labels.KEEP_ENDPOINTS: ""}
    return (
        _endpoints(view, names.config_object(cluster), {**state, "config": as_annotation(settings(spec, cluster))}),
        _endpoints(view, names.failover_object(cluster), state),
        _endpoints(view, names.sync_object(cluster), {**state, **sync}),
        _endpoints(view, names.lock_object(cluster), {}),
    )


def _endpoints(view: ClusterView, name: str, annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": metadata(view, name, annotations=annotations),
    }
