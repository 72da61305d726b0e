"""Secrets with credentials. They are created once and kept: a password that people use is never replaced. What the
application's Secret says besides follows it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from matriarch.config.quoting import passfile_field
from matriarch.fleet.render.meta import metadata
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import names
from matriarch.words.errors import Invalid

SUPERUSER = "postgres"
REPLICATION_USER = "replicator"


def secrets(view: ClusterView, spec: Spec) -> tuple[dict[str, Any], ...]:
    """The three Secrets. Without an owner: with `reclaimPolicy: Retain` they outlive the cluster, as its volumes do."""
    passwords = view.facts.passwords
    return (
        _secret(view, names.superuser_secret(view.name), _login(SUPERUSER, passwords.superuser)),
        _secret(view, names.replication_secret(view.name), _login(REPLICATION_USER, passwords.replication)),
        _secret(view, names.app_secret(view.name), _app(view, spec, passwords.app)),
    )


def respelled(view: ClusterView, spec: Spec, data: Mapping[str, str]) -> dict[str, str]:
    """What has to be changed in the `data` of an application's Secret, encoded as it is there, so that it leads where
    its name, password and database say. Those three are a person's to change; only a database that is missing is added.

    Nothing when they are not complete, or cannot be read or spelled.
    """
    try:
        said = {key: base64.b64decode(text).decode() for key, text in data.items() if key in _SAID}
        # The members read them so too: what echo and editors leave at the end is no part of a password.
        user, password, database = (said.get(key, "").rstrip("\r\n") for key in _SAID)
        if not user or not password:
            return {}
        database = database or spec.bootstrap.database
        wanted = _connection(view, user, password, database)
    except (ValueError, Invalid):
        return {}
    if not said.get("dbname"):
        wanted["dbname"] = database
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in wanted.items()}
    return {key: text for key, text in encoded.items() if data.get(key) != text}


_SAID = ("username", "password", "dbname")


def _secret(view: ClusterView, name: str, data: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/basic-auth",
        "metadata": metadata(view, name, owned=False),
        "stringData": data,
    }


def _login(user: str, password: str) -> dict[str, str]:
    return {"username": user, "password": password}


def _app(view: ClusterView, spec: Spec, password: str) -> dict[str, str]:
    user, database = spec.bootstrap.owner, spec.bootstrap.database
    return {**_login(user, password), "dbname": database, **_connection(view, user, password, database)}


def _connection(view: ClusterView, user: str, password: str, database: str) -> dict[str, str]:
    """What an application may want to read besides, in the spellings of psql, libpq and JDBC. Raises Invalid for a
    control character: no password file can hold it."""
    host, port = f"{names.primary_service(view.name)}.{view.namespace}.svc", str(names.POSTGRES_PORT)
    place, login = f"{host}:{port}/{quote(database, safe='')}", {"user": user, "password": password}
    fields = ":".join(passfile_field(one) for one in (host, port, database, user, password))
    return {
        "host": host,
        "port": port,
        "uri": f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{place}",
        "jdbc-uri": f"jdbc:postgresql://{place}?{urlencode(login)}",
        "pgpass": f"{fields}\n",
    }
