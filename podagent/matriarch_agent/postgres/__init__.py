"""The agent's hands on a real Postgres."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from matriarch.ha.view import Me
from matriarch_agent.init.client import InitClient
from matriarch_agent.journal import Log
from matriarch_agent.postgres.credentials import REPLICATION, SUPERUSER
from matriarch_agent.postgres.local import LocalPostgres
from matriarch_agent.postgres.place import Place

__all__ = ["LocalPostgres", "local_postgres"]
_PROGRAMS = "/usr/lib/postgresql/17/bin"
_ROLE_NAMES = {SUPERUSER: "MATRIARCH_SUPERUSER_NAME", REPLICATION: "MATRIARCH_REPLICATION_NAME"}


def local_postgres(environ: Mapping[str, str], me: Me, init: InitClient, log: Log) -> LocalPostgres:
    """The adapter for this container's environment. Raises ValueError, which names the variable, for a wrong one."""
    wish = json.loads(environ.get("MATRIARCH_BOOTSTRAP") or "{}")
    if not isinstance(wish, dict):
        raise ValueError("MATRIARCH_BOOTSTRAP has to be a JSON object")
    place = Place(
        member=me.name,
        cluster=me.cluster,
        volume=Path(environ.get("MATRIARCH_DATA", "/var/lib/matriarch")),
        run=Path(environ.get("MATRIARCH_RUN", "/run/matriarch")),
        secrets=Path(environ.get("MATRIARCH_SECRETS", "/etc/matriarch/secrets")),
        programs=Path(os.path.realpath(environ.get("MATRIARCH_PG_BIN", _PROGRAMS))),
        bootstrap=wish,
        data=_data(environ.get("MATRIARCH_PGDATA", "pgdata")),
        roles={kind: environ[name] for kind, name in _ROLE_NAMES.items() if environ.get(name)},
    )
    return LocalPostgres(place, init, log)


def _data(text: str) -> str:
    parts = Path(text).parts
    if not parts or text.startswith("/") or ".." in parts:
        raise ValueError(f"MATRIARCH_PGDATA has to be a path below the volume, not {text!r}")
    return text
