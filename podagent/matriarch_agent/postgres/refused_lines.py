"""The user's pg_hba lines that a running server could not read.

A reload leaves the former rules in force; a start with such a line fails. So they are kept on the volume: the start may
be another agent's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from matriarch.ha.settings import ClusterSettings
from matriarch_agent.postgres.place import Place

_FILE = ".matriarch.refused-hba"
_FOR_NOW = "cannot match"
"""Part of what Postgres says of a line that it can read, and that counts once TLS or GSSAPI is there."""


class RefusedLines:
    """Line to the server's reason."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = place.volume / _FILE
        self._known = self._read()

    @property
    def known(self) -> Mapping[str, str]:
        """What was refused of the settings last asked about."""
        return self._known

    def without(self, settings: ClusterSettings) -> ClusterSettings:
        """The settings without these lines. One that a person has taken out meanwhile is forgotten: written anew, it is
        tried anew."""
        present = {line.strip() for line in settings.pg_hba}
        self._keep({line: why for line, why in self._known.items() if line in present})
        if not self._known:
            return settings
        return replace(settings, pg_hba=tuple(line for line in settings.pg_hba if line.strip() not in self._known))

    def note(self, settings: ClusterSettings, complaints: Mapping[int, str]) -> None:
        """Remember those of the settings' lines about which the server complained; by line number of the present
        file, from 1."""
        try:
            text = (self._place.pgdata / "pg_hba.conf").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return
        lines = text.split("\n")
        said = {lines[number - 1]: why for number, why in complaints.items() if 0 < number <= len(lines)}
        users = {line.strip() for line in settings.pg_hba}
        new = {line: why[:300] for line, why in said.items() if line in users and _FOR_NOW not in why}
        self._keep({**self._known, **new})

    def _keep(self, known: dict[str, str]) -> None:
        if known == self._known:
            return
        self._known = known
        # With a volume that takes no writes nothing starts anyway, and this process remembers.
        with suppress(OSError):
            temporary = self._path.with_name(f"{_FILE}.tmp")
            temporary.write_text(json.dumps(known), encoding="ascii")
            os.replace(temporary, self._path)

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return {}
        return {str(line): str(why) for line, why in found.items()} if isinstance(found, dict) else {}
