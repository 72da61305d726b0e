"""The four lock objects as last seen, decoded once for each change: a member looks at them far more often than they
change."""

from __future__ import annotations

from dataclasses import replace

from matriarch.ha import records
from matriarch.ha.settings import ClusterSettings, parse_settings
from matriarch.ha.view import ConfigView, Request, SyncView
from matriarch.kube.api import Object
from matriarch.words import names
from matriarch.words.errors import ConflictError, Unavailable
from matriarch.words.json_object import decode_object

NO_REQUEST = Request(None, None, None, None)


class Seen:
    """What the objects of one cluster say. Nobody may change what is read here."""

    def __init__(self, cluster: str) -> None:
        self.lock_name, self.sync_name = names.lock_object(cluster), names.sync_object(cluster)
        self.config_name, self.request_name = names.config_object(cluster), names.failover_object(cluster)
        self.lock: records.LockRecord | None = None
        """None when the object does not exist."""
        self.last_lock: records.LockRecord | None = None
        """The record as it was last there."""
        self.sync = SyncView()
        self.config = ConfigView(settings_seen=False)
        self.request = NO_REQUEST
        self.settings = ClusterSettings()
        """The last readable ones."""
        self._text: str | None = None
        self._kept: dict[str, str] = {}

    def note(self, name: str, found: Object | None) -> bool:
        """An object has changed, or is gone (None). Whether it is one of the four."""
        if name == self.lock_name:
            self.lock = records.read_lock(found) if found is not None else None
            self.last_lock = self.lock or self.last_lock
        elif name == self.sync_name:
            self.sync = records.read_sync(found) if found is not None else SyncView()
        elif name == self.config_name:
            self._note_settings(found)
            self._keep(found)
            config = records.read_config(found) if found is not None else ConfigView()
            self.config = replace(config, settings_seen=bool(self._kept))
        elif name == self.request_name:
            self.request = records.read_request(found) if found is not None else NO_REQUEST
        else:
            return False
        return True

    @property
    def held_last(self) -> str | None:
        """Who held the lock when it was seen last."""
        return self.last_lock.holder if self.last_lock is not None else None

    def check_making(self, me: str, unseen: bool) -> None:
        """Whether a leader may make a deleted lock again. Raises ConflictError when somebody had taken it before, and
        Unavailable when nobody here can tell: it is `unseen` what the lock was last."""
        if self.last_lock is not None and self.last_lock.holder != me:
            raise ConflictError("the lock named another member before it was deleted")
        if unseen or self.last_lock is None:
            raise Unavailable("the lock is gone, and nobody here saw whom it named last")

    def lost(self, present: Object | None, *, begins: bool = False) -> dict[str, str]:
        """Settings and history as they were last seen, for a config object that has been deleted, or made anew without
        them. What nobody else can tell is not to be lost by it: settings that a person made with patronictl, and
        whether the cluster follows another one.

        `begins`: the cluster is being initialised. Where nobody has laid down settings for it, there are empty ones
        from then on, so that settings which are gone can be told from settings that never were.
        """
        there = records.annotations_of(present) if present is not None else {}
        if there.get("config"):
            return {}
        known = self._kept or ({"config": "{}"} if begins else {})
        return {key: text for key, text in known.items() if not there.get(key)}

    def _keep(self, found: Object | None) -> None:
        notes = records.annotations_of(found) if found is not None else {}
        if decode_object(notes.get("config")) is not None:
            self._kept = {key: notes[key] for key in ("config", "history") if notes.get(key)}

    def _note_settings(self, found: Object | None) -> None:
        text = records.annotations_of(found).get("config") if found is not None else None
        if text == self._text:
            return
        self._text = text
        parsed = parse_settings(text, self.settings)
        if parsed != self.settings:
            self.settings = parsed
