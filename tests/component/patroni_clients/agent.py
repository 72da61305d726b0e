"""The agent's own program, on a loopback address and with a fake API server. init starts it as it does the real one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from matriarch.ha.view import Me
from matriarch.kube.auth import Connection
from matriarch_agent import __main__ as program
from matriarch_agent.init.client import InitClient
from matriarch_agent.journal import Log
from matriarch_agent.postgres import LocalPostgres, local_postgres


def _connection() -> Connection:
    return Connection(os.environ["TEST_API_SERVER"], None, None, "default")


def _postgres(environ: Mapping[str, str], me: Me, init: InitClient, log: Log) -> LocalPostgres:
    made = local_postgres(environ, me, init, log)
    place = replace(made._place, listen=me.pod_ip, log_file=os.environ["TEST_POSTGRES_LOG"])
    return LocalPostgres(place, init, log)


if __name__ == "__main__":
    program.in_cluster = _connection  # type: ignore[assignment]
    program.local_postgres = _postgres
    program.main()
