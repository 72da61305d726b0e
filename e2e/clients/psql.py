"""A session as any application opens it, through a balancer or with a list of hosts."""

from __future__ import annotations

import psycopg

from e2e.probe.process import Target
from e2e.shell import NotYet


def who_answers(
    login: Target, *, port: int = 5432, host: str = "127.0.0.1", attributes: str = "any"
) -> tuple[bool, str]:
    """Whether whoever answers there is in recovery, and at which address it listens. Raises NotYet while nobody does.

    `host` may be a list of addresses; `attributes` are libpq's target_session_attrs.
    """
    try:
        with psycopg.connect(
            host=host,
            port=port,
            user=login.user,
            password=login.password,
            dbname=login.dbname,
            connect_timeout=3,
            target_session_attrs=attributes,
        ) as connection:
            row = connection.execute("select pg_is_in_recovery(), host(inet_server_addr())").fetchone()
    except psycopg.Error as error:
        raise NotYet(str(error)) from error
    assert row is not None
    return bool(row[0]), str(row[1])
