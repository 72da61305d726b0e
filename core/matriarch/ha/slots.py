"""Replication slots as the cluster settings ask for them (after Patroni): `slots`, and what `ignore_slots` spares.

A slot that cannot be understood is left out and named with the reason; the others count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matriarch.ha.postgres_slots import Slot
from matriarch.ha.tags import Tags
from matriarch.words.names import slot_name

ALIASES = ("slots", "permanent_slots", "permanent_replication_slots")
"""The setting's names; the first that is there counts."""
MOST_SLOTS = 64
"""Permanent slots, and patterns of slots to ignore, that are read."""
LONGEST_NAME = 63
_NAME = re.compile(r"[a-z0-9_]{1,63}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_$.-]{1,63}", re.ASCII)
_KEYS = ("name", "type", "database", "plugin")


@dataclass(frozen=True, slots=True)
class PermanentSlot:
    """A slot that outlives every failover. Logical ones have a database and an output plugin."""

    name: str
    database: str | None = None
    plugin: str | None = None
    cluster_type: str | None = None
    """`primary` or `standby`: the only kind of cluster in which it is kept; None: in both."""

    @property
    def logical(self) -> bool:
        """Whether it streams decoded changes."""
        return self.plugin is not None


@dataclass(frozen=True, slots=True)
class SlotPattern:
    """Slots to leave alone: every attribute that is given must be the slot's."""

    name: str | None = None
    type: str | None = None
    database: str | None = None
    plugin: str | None = None

    def matches(self, slot: Slot) -> bool:
        """Whether this slot is meant."""
        has = {"name": slot.name, "type": slot.type, "database": slot.database, "plugin": slot.plugin}
        return all(wanted is None or wanted == has[key] for key, wanted in self._given())

    def _given(self) -> tuple[tuple[str, str | None], ...]:
        return (("name", self.name), ("type", self.type), ("database", self.database), ("plugin", self.plugin))


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """What the cluster settings say about slots."""

    permanent: Mapping[str, PermanentSlot] = field(default_factory=dict)
    ignored: tuple[SlotPattern, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """What was left out: the slot's name and why."""

    def ignores(self, slot: Slot) -> bool:
        """Whether a slot is somebody else's business."""
        return any(pattern.matches(slot) for pattern in self.ignored)

    def logical(self) -> tuple[PermanentSlot, ...]:
        """The permanent slots that stream decoded changes."""
        return tuple(slot for slot in self.permanent.values() if slot.logical)


def copies_logical(slots: SlotSettings, tags: Tags, *, standby_cluster: bool) -> bool:
    """Whether a member with these tags keeps copies of logical slots: one that may lead and streams from the leader."""
    return decodes(slots, standby_cluster=standby_cluster) and not tags.nofailover and tags.replicatefrom is None


def decodes(slots: SlotSettings, *, standby_cluster: bool) -> bool:
    """Whether the settings ask for logical slots, so that every member needs the WAL for them."""
    return bool(slots.logical()) and not standby_cluster


def slots_from(document: Mapping[str, Any]) -> SlotSettings:
    """Read `slots` (or one of its aliases) and `ignore_slots`. Never raises."""
    key = next((alias for alias in ALIASES if document.get(alias) is not None), ALIASES[0])
    found = document.get(key)
    found = found if isinstance(found, Mapping) else {}
    permanent, problems = {}, {}
    for name in sorted(found, key=str)[:MOST_SLOTS]:
        slot = slot_from(name, found[name])
        if isinstance(slot, str):
            problems[str(name)[:LONGEST_NAME]] = slot
        else:
            permanent[slot.name] = slot
    listed = document.get("ignore_slots")
    patterns = [_pattern(one) for one in (listed if isinstance(listed, list) else [])[:MOST_SLOTS]]
    return SlotSettings(permanent, tuple(one for one in patterns if one is not None), problems)


def slot_from(name: object, value: object) -> PermanentSlot | str:
    """One permanent slot, or why it is none."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return "a slot's name has 1 to 63 lower case letters, digits and underscores"
    if value in (None, 0, False) or value == {}:
        return PermanentSlot(name)
    if not isinstance(value, Mapping):
        return "describe the slot by an object with type, and for a logical one database and plugin"
    kind = value.get("cluster_type")
    if kind not in (None, "primary", "standby"):
        return "cluster_type is primary or standby"
    if value.get("type") == "physical":
        return PermanentSlot(name, cluster_type=kind)
    if value.get("type") not in (None, "logical"):
        return "type is physical or logical"
    database, plugin = value.get("database"), value.get("plugin")
    if not isinstance(plugin, str) or _WORD.fullmatch(plugin) is None:
        return "a logical slot needs a plugin, such as pgoutput"
    if not isinstance(database, str) or not 0 < len(database) <= LONGEST_NAME or not database.isprintable():
        return "a logical slot needs a database"
    return PermanentSlot(name, database, plugin, kind)


def is_members(name: str, cluster: str) -> bool:
    """Whether a slot's name is that of a member that this cluster has, had or may have."""
    prefix = f"{slot_name(cluster)}_"
    return name.startswith(prefix) and name[len(prefix) :].isdigit()


def _pattern(value: object) -> SlotPattern | None:
    """One entry of `ignore_slots`; None for one that says nothing: it would match every slot."""
    if not isinstance(value, Mapping):
        return None
    given = {key: str(value[key]) for key in _KEYS if value.get(key) is not None}
    return SlotPattern(**given) if given else None
