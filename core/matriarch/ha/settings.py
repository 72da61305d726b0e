"""Cluster settings: the dynamic configuration in the `config` annotation, read with Patroni's names and tolerance.

A document that cannot be read is no settings at all: the caller keeps the ones it had (rule 7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from matriarch.ha.commands import Commands, commands_from
from matriarch.ha.slots import SlotSettings, slots_from
from matriarch.ha.standby_cluster import StandbyCluster, standby_cluster_from
from matriarch.ha.tags import Tags, member_tags_from

LARGEST = 1e18
"""Bound on every number: infinity, NaN and absurd values count as absent."""
_TRUE = frozenset({"on", "true", "yes", "1"})


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What all members of a cluster agree on. Durations in seconds, sizes in bytes."""

    ttl: float = 9.0
    loop_wait: float = 3.0
    retry_timeout: float = 3.0
    maximum_lag_on_failover: int = 1024 * 1024
    maximum_lag_on_syncnode: int = -1
    failsafe_mode: bool = True
    synchronous_mode: str = "on"
    """`off`, `on` (priority) or `quorum`."""
    synchronous_mode_strict: bool = False
    synchronous_node_count: int = 1
    pause: bool = False
    primary_start_timeout: float = 300.0
    primary_stop_timeout: float = 0.0
    member_slots_ttl: float = 1800.0
    slots: SlotSettings = field(default_factory=SlotSettings)
    """Permanent slots, and those to leave alone."""
    commands: Commands = field(default_factory=Commands)
    """Programs to run: replica methods, bootstrap, callbacks."""
    max_timelines_history: int = 0
    use_pg_rewind: bool = True
    reclone_on_diverged: bool = True
    """Patroni's `remove_data_directory_on_diverged_timelines`, on here: the copy is made beside the old directory and
    replaces it only once it is complete."""
    reclone_on_rewind_failure: bool = False
    """Patroni's `remove_data_directory_on_rewind_failure`, for those who switch the one above off."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pg_hba: tuple[str, ...] = ()
    pg_ident: tuple[str, ...] = ()
    member_tags: Mapping[str, Tags] = field(default_factory=dict)
    """What each member may become, by its name; ours, where Patroni has a file on each machine."""

    standby_cluster: StandbyCluster | None = None
    """Whom the whole cluster follows; None: it has a primary of its own."""

    @property
    def synchronous(self) -> bool:
        """Whether commits wait for a standby. A standby cluster has no commits of its own."""
        return self.synchronous_mode != "off" and self.standby_cluster is None

    @property
    def quorum(self) -> bool:
        """Whether any so many standbys will do, rather than those with the highest rank."""
        return self.synchronous and self.synchronous_mode == "quorum"


def parse_settings(text: str | None, previous: ClusterSettings | None = None) -> ClusterSettings:
    """Settings from the annotation's text; `previous` when it is absent or unreadable, key by key where a value is."""
    base = previous or ClusterSettings()
    if text is None:
        return base
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return base
    if not isinstance(document, dict):
        return base
    return settings_from(document)


def settings_from(document: Mapping[str, Any]) -> ClusterSettings:
    """Settings from a decoded document. A value of the wrong type counts as absent."""
    default = ClusterSettings()
    postgres = document.get("postgresql")
    postgres = postgres if isinstance(postgres, dict) else {}
    parameters = postgres.get("parameters")
    settings = ClusterSettings(
        ttl=_number(document, "ttl", default.ttl, 3),
        loop_wait=_number(document, "loop_wait", default.loop_wait, 1),
        retry_timeout=_number(document, "retry_timeout", default.retry_timeout, 1),
        maximum_lag_on_failover=int(_number(document, "maximum_lag_on_failover", default.maximum_lag_on_failover, 0)),
        maximum_lag_on_syncnode=int(_number(document, "maximum_lag_on_syncnode", default.maximum_lag_on_syncnode, -1)),
        failsafe_mode=_flag(document, "failsafe_mode", default.failsafe_mode),
        synchronous_mode=_sync_mode(document.get("synchronous_mode", default.synchronous_mode)),
        synchronous_mode_strict=_flag(document, "synchronous_mode_strict", False),
        synchronous_node_count=max(1, int(_number(document, "synchronous_node_count", 1, 1))),
        pause=_flag(document, "pause", False),
        primary_start_timeout=_timeout(document, "start", default.primary_start_timeout),
        primary_stop_timeout=_timeout(document, "stop", default.primary_stop_timeout),
        member_slots_ttl=_number(document, "member_slots_ttl", default.member_slots_ttl, 0),
        slots=slots_from(document),
        commands=commands_from(document),
        max_timelines_history=int(_number(document, "max_timelines_history", 0, 0)),
        use_pg_rewind=_flag(postgres, "use_pg_rewind", True),
        reclone_on_diverged=_flag(postgres, "remove_data_directory_on_diverged_timelines", True),
        reclone_on_rewind_failure=_flag(postgres, "remove_data_directory_on_rewind_failure", False),
        parameters=dict(parameters) if isinstance(parameters, dict) else {},
        pg_hba=_lines(postgres.get("pg_hba")),
        pg_ident=_lines(postgres.get("pg_ident")),
        member_tags=member_tags_from(document.get("member_tags")),
        standby_cluster=standby_cluster_from(document.get("standby_cluster")),
    )
    return within_ttl(settings)


def within_ttl(settings: ClusterSettings) -> ClusterSettings:
    """Enforce `loop_wait + 2 * retry_timeout <= ttl`, lowering loop_wait first (after Patroni)."""
    spare = settings.ttl - settings.loop_wait - 2 * settings.retry_timeout
    if spare >= 0:
        return settings
    loop_wait = max(1.0, settings.loop_wait + spare)
    retry = min(settings.retry_timeout, max(0.5, (settings.ttl - loop_wait) / 2))
    return replace(settings, loop_wait=loop_wait, retry_timeout=retry)


def _number(document: Mapping[str, Any], key: str, default: float, least: float) -> float:
    value = document.get(key, default)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
        return default
    return max(least, float(value))


def _timeout(document: Mapping[str, Any], of: str, default: float) -> float:
    """Of a primary's start or stop; under its older name where there is no newer one."""
    return _number(document, f"primary_{of}_timeout", _number(document, f"master_{of}_timeout", default, 0), 0)


def _flag(document: Mapping[str, Any], key: str, default: bool) -> bool:
    value = document.get(key, default)
    return default if value is None else str(value).lower() in _TRUE


def _lines(value: Any) -> tuple[str, ...]:
    return tuple(str(line) for line in value) if isinstance(value, list) else ()


def _sync_mode(value: Any) -> str:
    text = str(value).lower()
    if text == "quorum":
        return "quorum"
    return "on" if text in _TRUE else "off"
