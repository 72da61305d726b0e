"""Secrets with credentials. They are created once and kept: a password that people use is never replaced."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from matriarch.fleet.render.meta import metadata
from matriarch.fleet.view import ClusterView
from matriarch.spec.cluster import Spec
from matriarch.words import names

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
    """Everything that an application may want to read, in the spellings of psql, libpq and JDBC."""
    user, database = spec.bootstrap.owner, spec.bootstrap.database
    host, port = f"{names.primary_service(view.name)}.{view.namespace}.svc", str(names.POSTGRES_PORT)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return {
        **_login(user, password),
        "dbname": database,
        "host": host,
        "port": port,
        "uri": f"postgresql://{login}@{host}:{port}/{database}",
        "jdbc-uri": f"jdbc:postgresql://{host}:{port}/{database}?{urlencode({'user': user, 'password': password})}",
        "pgpass": f"{host}:{port}:{database}:{user}:{password}\n",
    }
