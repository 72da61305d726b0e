"""Where everything of this member's Postgres is."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matriarch.words.names import POSTGRES_PORT

_MAJOR = re.compile(r"(?:\A|-)([0-9]{1,3})\Z", re.ASCII)
_WITHHOLDS_FROM_MAJOR = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Paths and names; nothing here is read from the data directory."""

    member: str
    cluster: str
    volume: Path
    """The mounted volume; init holds its lock."""
    run: Path
    """Sockets and files that need not survive a restart."""
    secrets: Path
    programs: Path
    """Directory of Postgres' programs."""
    port: int = POSTGRES_PORT
    listen: str = "*"
    bootstrap: Mapping[str, object] = field(default_factory=dict)
    """Database, owner, locale, encoding, data_checksums of a new cluster."""
    data: str = "pgdata"
    """The data directory's path below the volume."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Names of the roles `superuser` and `replication` where their Secrets tell none and they are not the usual."""
    log_file: str | None = None
    """Where Postgres logs; None: the container's standard error."""

    @property
    def pgdata(self) -> Path:
        """The data directory."""
        return self.volume / self.data

    @property
    def init_socket(self) -> str:
        """Where init listens."""
        return str(self.run / "init.sock")

    @property
    def passfile(self) -> Path:
        """libpq's password file for the replication role."""
        return self.run / "pgpass"

    @property
    def withholds_password(self) -> bool:
        """Whether these programs' libpq knows `require_auth`. The major version is in the path, as packages have it
        (`.../17/bin`, `.../pgsql-17/bin`); where it is not, nobody knows, and an unknown option would be an error."""
        found = _MAJOR.search(self.programs.parent.name)
        return found is not None and int(found[1]) >= _WITHHOLDS_FROM_MAJOR

    def program(self, name: str) -> str:
        """Full path of one of Postgres' programs."""
        return str(self.programs / name)

    def environment(self) -> dict[str, str]:
        """The environment of Postgres and its programs: nothing of the container's own leaks into backends
        (after Patroni)."""
        return {
            "PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(self.run),
        }

    def environment_with_passwords(self) -> dict[str, str]:
        """For programs of the settings that connect to members: the replication role's password file as well."""
        return {**self.environment(), "PGPASSFILE": str(self.passfile)}


def os_user() -> str:
    """The account that Postgres runs under. Peer authentication needs it to have a name."""
    return pwd.getpwuid(os.getuid()).pw_name
