"""Writing the configuration files of the data directory, with the user's part tested before it is used."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matriarch.config import logical
from matriarch.config.files import (
    MEMBER_SETTINGS,
    Source,
    clean_auto_conf,
    parse_conf,
    render_conf,
    standby_settings,
)
from matriarch.config.hba import render_hba, render_ident
from matriarch.config.parameters import effective
from matriarch.config.restart import raised_to
from matriarch.config.synchronous import format_names
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.slots import copies_logical, decodes
from matriarch.ha.tags import Tags
from matriarch.ha.view import Upstream
from matriarch.words.sync_names import SyncNames
from matriarch_agent.files import replace_file, there, translated
from matriarch_agent.postgres import credentials, programs
from matriarch_agent.postgres.place import Place, os_user

_COMPLAINT = re.compile(r'(?:parameter|configuration parameter) "([^"]+)"')
_IN_FILE = re.compile(r'in file ".*" (?:near )?line (\d+)')
_LIBRARIES = ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries")
_CHECK_WITHIN_S = 10.0
_MOST_REFUSALS = 64
_CHECKS_WITHIN_S = 15.0
"""For all refusals of one set together: it is one step of the loop, in which nobody decides."""


class ConfFiles:
    """postgresql.conf, pg_hba.conf and pg_ident.conf of the data directory.

    The files are written whole before each start, so they are replaced atomically but not synced to disk: all but what
    is left of ALTER SYSTEM's. Whatever reads or writes them raises PostgresError.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._tested: tuple[Mapping[str, Any], dict[str, str]] | None = None
        self._forced: frozenset[str] = frozenset()
        self.copies_linger = False
        """Copies of logical slots that nobody asks for any more. Only the server can remove them, and only while it
        copies: it goes on until they are gone."""
        self.refused: dict[str, str] = {}
        """The user's parameters and pg_hba lines that are not in force, and why."""

    async def write(
        self,
        settings: ClusterSettings,
        member: Mapping[str, str] | None = None,
        least: Mapping[str, int] | None = None,
        *,
        has_copies: bool = False,
        wal_level: str | None = None,
    ) -> None:
        """Write all files. `member` (None: as in the present file) is what depends on the member's doing; `least` is
        what a standby's control file asks for; `has_copies`: the server has copies of logical slots; `wal_level`: it
        runs with this one (None: it is about to start with the file's)."""
        values = await self._accepted(settings.parameters)
        values.update(raised_to(values, least or {}))
        values.update(self._fixed())
        copying = self._copying(settings)
        self.copies_linger = has_copies and not copying
        if self.copies_linger or self._decodes(settings):
            values[logical.WAL_LEVEL] = logical.DECODABLE
        if wal_level in (None, logical.DECODABLE):
            values.update(logical.COPYING if self.copies_linger else copying)
        self._forced = frozenset(copying)
        values.update(self.member_settings() if member is None else member)
        self._write_hba(settings)
        self._replace("postgresql.conf", render_conf(values))
        self._clean_auto_conf()

    def may_have_copies(self) -> bool:
        """Whether a stopped server may have copies of logical slots."""
        copied = parse_conf(self._read("postgresql.conf")).get("sync_replication_slots") == "on"
        with translated(self._place.pgdata):
            return copied and any((self._place.pgdata / "pg_replslot").glob("*"))

    def edit(self, changes: Mapping[str, str]) -> None:
        """Change a few settings in the present postgresql.conf. Raises PostgresError.

        Possible on a full volume as well: commits that wait for a lost standby must not have to wait for room.
        """
        present = parse_conf(self._read("postgresql.conf"))
        present.update(changes)
        self._replace("postgresql.conf", render_conf(present), even_when_full=True)
        self._clean_auto_conf()

    def member_settings(self) -> dict[str, str]:
        """What of the present file depends on the member's doing."""
        present = parse_conf(self._read("postgresql.conf"))
        names = (*MEMBER_SETTINGS, logical.GATE) if self._copies() else MEMBER_SETTINGS
        return {name: present.get(name, "") for name in names}

    def following(self, upstream: Upstream | None) -> dict[str, str]:
        """The settings for following a member."""
        return standby_settings(self._place.member, None if upstream is None else self.source(upstream))

    def synchronous(self, wanted: SyncNames) -> dict[str, str]:
        """The settings for waiting for standbys. No consumer gets ahead of any of them: each may be promoted."""
        gate = logical.gate(wanted.names) if self._copies() else {}
        return {"synchronous_standby_names": format_names(wanted), **gate}

    def source(self, upstream: Upstream) -> Source:
        """Another member as a source of WAL or data. Writes the password file."""
        credentials.write_passfile(self._place)
        user = credentials.role_name(self._place, credentials.REPLICATION)
        slot = (upstream.slot or "") if upstream.remote else None
        passfile, withholds = str(self._place.passfile), self._place.withholds_password
        return Source(upstream.member, upstream.host, upstream.port, user, passfile, slot, never_in_clear=withholds)

    def drop_hba_lines(self, settings: ClusterSettings, complaints: Mapping[int, str]) -> bool:
        """Take lines out of which the running server complained. False when there is nothing to take out."""
        lines = self._read("pg_hba.conf").splitlines()
        bad = {lines[number - 1]: why for number, why in complaints.items() if 0 < number <= len(lines)}
        keep = [line for line in settings.pg_hba if line.strip() not in bad]
        if len(keep) == len(settings.pg_hba):
            return False
        self.refused.update({line[:128]: why[:300] for line, why in bad.items()})
        self._replace("pg_hba.conf", self._hba(keep))
        return True

    async def _accepted(self, user: Mapping[str, Any]) -> dict[str, str]:
        """Defaults and those of the user's parameters that Postgres itself accepts. Tested once for each set."""
        if self._tested is not None and self._tested[0] == user:
            return dict(self._tested[1])
        merged = effective(user)
        values, refused = dict(merged.values), dict(merged.refused)
        for name in _LIBRARIES:
            missing = self._missing_libraries(values.get(name, ""))
            if missing:
                refused[name] = f"no such library: {', '.join(missing)[:200]}"
                del values[name]
        until = time.monotonic() + _CHECKS_WITHIN_S
        while values and len(refused) < _MOST_REFUSALS and time.monotonic() < until:
            complaint = await self._complaint(values)
            if complaint is None:
                break
            name, reason = complaint
            if name not in values:
                break
            refused[name] = reason
            del values[name]
        fallback = effective({}).values
        values = {**{name: fallback[name] for name in fallback if name not in values}, **values}
        self.refused = refused
        self._tested = (dict(user), dict(values))
        return values

    async def _complaint(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """What `postgres` says against a candidate file: the parameter and the reason."""
        candidate = self._place.run / "candidate.conf"
        text = render_conf({**values, **self._fixed()})
        replace_file(candidate, text, durable=False)
        argv = [self._place.program("postgres"), "-D", str(self._place.pgdata), "-C", "cluster_name"]
        argv += ["-c", "log_line_prefix="]
        output = await programs.run(
            [*argv, f"--config-file={candidate}"], self._place.environment(), timeout=_CHECK_WITHIN_S
        )
        if output.status == 0:
            return None
        reason = output.stderr.strip().splitlines()[0][:300] if output.stderr.strip() else "refused"
        reason = reason.replace(str(candidate), "postgresql.conf").removeprefix("LOG:").strip()
        named = _COMPLAINT.search(output.stderr)
        if named is not None:
            return named[1].lower(), reason
        line = _IN_FILE.search(output.stderr)
        lines = text.splitlines()
        if line is not None and 0 < int(line[1]) <= len(lines):
            return lines[int(line[1]) - 1].partition(" ")[0], reason
        return "", reason

    def _missing_libraries(self, text: str) -> list[str]:
        folder = self._place.programs.parent / "lib"
        names = [part.strip().strip('"') for part in text.split(",") if part.strip()]
        plain = [name.removeprefix("$libdir/").removesuffix(".so") for name in names]
        return [name for name in plain if "/" in name or not (folder / f"{name}.so").exists()]

    def _fixed(self) -> dict[str, str]:
        return {
            "cluster_name": self._place.cluster,
            "listen_addresses": self._place.listen,
            "port": str(self._place.port),
            "unix_socket_directories": str(self._place.run),
        }

    def _decodes(self, settings: ClusterSettings) -> bool:
        return self._copies() and decodes(settings.slots, standby_cluster=settings.standby_cluster is not None)

    def _copying(self, settings: ClusterSettings) -> Mapping[str, str]:
        tags = settings.member_tags.get(self._place.member, Tags())
        wanted = copies_logical(settings.slots, tags, standby_cluster=settings.standby_cluster is not None)
        return logical.COPYING if wanted and self._copies() else {}

    def _copies(self) -> bool:
        """Whether this server can copy logical slots."""
        version = self._read("PG_VERSION").strip()
        return version.isdigit() and int(version) >= logical.FROM_MAJOR

    def _write_hba(self, settings: ClusterSettings) -> None:
        self._replace("pg_hba.conf", self._hba(settings.pg_hba))
        superuser = credentials.role_name(self._place, credentials.SUPERUSER)
        ident = render_ident(settings.pg_ident, os_user(), superuser=superuser)
        self.refused.update(ident.refused)
        self._replace("pg_ident.conf", ident.text)

    def _hba(self, lines: list[str] | tuple[str, ...]) -> str:
        hba = render_hba(
            lines,
            superuser=credentials.role_name(self._place, credentials.SUPERUSER),
            replication=credentials.role_name(self._place, credentials.REPLICATION),
        )
        self.refused.update(hba.refused)
        return hba.text

    def _clean_auto_conf(self) -> None:
        text = self._read("postgresql.auto.conf")
        cleaned = clean_auto_conf(text, self._forced)
        if cleaned != text:
            # Nobody could write this one anew from anything else: a crash must leave it whole.
            self._replace("postgresql.auto.conf", cleaned, durable=True)

    def _read(self, name: str) -> str:
        path: Path = self._place.pgdata / name
        with translated(path):
            return path.read_text(encoding="utf-8", errors="surrogateescape") if there(path) else ""

    def _replace(self, name: str, text: str, *, durable: bool = False, even_when_full: bool = False) -> None:
        path: Path = self._place.pgdata / name
        if there(path) and self._read(name) == text:
            return
        replace_file(path, text, durable=durable, even_when_full=even_when_full)
