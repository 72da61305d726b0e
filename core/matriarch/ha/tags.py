"""A member's tags (after Patroni): what it may become, whom it serves, and from where it streams."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matriarch.ha.written import flag, whole
from matriarch.words.names import MAX_POD_NAME

MOST_MEMBERS = 100
"""Members whose tags a document may name; more are not read."""
MOST_CUSTOM = 20
"""Tags of a person's own that a member shows; more are not read."""
LONGEST_VALUE = 128
"""Characters of such a tag's value."""
_FLAGS = ("nofailover", "nosync", "noloadbalance", "clonefrom")
_NUMBERS = ("failover_priority", "sync_priority")
_KNOWN = frozenset({*_FLAGS, *_NUMBERS, "replicatefrom", "nostream"})
"""`nostream` is none of a person's own, and without a WAL archive it means nothing."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Tags:
    """What a person wants of one member."""

    nofailover: bool = False
    """It never leads."""
    nosync: bool = False
    """It is never a synchronous standby."""
    noloadbalance: bool = False
    """It serves no reads: its health checks as a replica fail, and the replicas' Service leaves it out."""
    clonefrom: bool = False
    """New members copy from it rather than from the leader."""
    failover_priority: int = 1
    """Who wins among equals; 0 or less is `nofailover`."""
    sync_priority: int = 1
    """Who is synchronous first; 0 or less is `nosync`."""
    replicatefrom: str | None = None
    """The member that it streams from, instead of the leader, as long as that one streams itself."""
    custom: tuple[tuple[str, Scalar], ...] = ()
    """Tags of a person's own, by name: shown, and asked for by health checks (`?tag_zone=a`). They decide nothing."""

    @property
    def may_lead(self) -> bool:
        """Whether it may be promoted."""
        return not self.nofailover and self.failover_priority > 0


_NONE = Tags()


def tags_from(value: object) -> Tags:
    """Tags as a person may have written them. The boolean wins over the priority that says the same."""
    tags = value if isinstance(value, Mapping) else {}
    priority, sync_priority = (whole(tags.get(name), 1) for name in _NUMBERS)
    source = tags.get("replicatefrom")
    return Tags(
        nofailover=flag(tags["nofailover"]) if "nofailover" in tags else priority <= 0,
        nosync=flag(tags["nosync"]) if "nosync" in tags else sync_priority <= 0,
        noloadbalance=flag(tags.get("noloadbalance")),
        clonefrom=flag(tags.get("clonefrom")),
        failover_priority=priority,
        sync_priority=sync_priority,
        replicatefrom=source if isinstance(source, str) and 0 < len(source) <= MAX_POD_NAME else None,
        custom=_custom_from(tags),
    )


def _custom_from(tags: Mapping[Any, Any]) -> tuple[tuple[str, Scalar], ...]:
    names = [key for key in tags if isinstance(key, str) and key not in _KNOWN and _NAME.fullmatch(key)]
    found = ((name, tags[name]) for name in sorted(names))
    return tuple((name, value) for name, value in found if _is_plain(value))[:MOST_CUSTOM]


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST_VALUE and value.isprintable()
    return isinstance(value, bool | int | float) and math.isfinite(value) and abs(value) < 2**53


def tags_document(tags: Tags) -> dict[str, Any]:
    """The tags that differ from their defaults."""
    if tags == _NONE:
        return {}
    document: dict[str, Any] = {name: True for name in _FLAGS if getattr(tags, name)}
    document.update({name: getattr(tags, name) for name in _NUMBERS if getattr(tags, name) != 1})
    if tags.replicatefrom is not None:
        document["replicatefrom"] = tags.replicatefrom
    document.update(tags.custom)
    return document


def member_tags_from(value: object) -> dict[str, Tags]:
    """The tags of each member, by its name, from the cluster settings' `member_tags`."""
    found = value if isinstance(value, Mapping) else {}
    names = [name for name in sorted(found, key=str) if isinstance(name, str)][:MOST_MEMBERS]
    return {name: tags_from(found[name]) for name in names}
