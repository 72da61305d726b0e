"""The operator's command: `matriarch-operator --all-namespaces`.

Exit codes: 0 after SIGTERM or SIGINT; 1 when the election was lost or a watch ended for good; 2 for a wrong command
line or a missing environment. Any exit is safe: members need no operator to fail over, and the next one goes on from
what it sees.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import kopf
import structlog

from matriarch.kube import auth
from matriarch.kube.http import HttpKube
from matriarch.words.errors import Invalid
from matriarch_operator import handlers, logs, settings
from matriarch_operator.app import App, Options

LOGIN_LIFE = timedelta(minutes=5)
"""Projected tokens are replaced in their file long before they end; kopf asks again after this time."""
DRAIN_S = 3.0

log = structlog.get_logger(__name__)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="matriarch-operator", description="Keeps PostgresClusters as they are asked for."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--all-namespaces", action="store_true", help="watch every namespace")
    where.add_argument("--namespace", action="append", default=[], help="watch this namespace; may be repeated")
    parser.add_argument("--kubeconfig", help="use this kubeconfig instead of the pod's service account")
    parser.add_argument("--health-port", type=int, default=8080, help="port of /healthz, /readyz and /metrics")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs until told to stop."""
    given = arguments(argv)
    logs.configure(given.log_level)
    image = os.environ.get("MATRIARCH_POSTGRES_IMAGE", "")
    if not image:
        log.error("MATRIARCH_POSTGRES_IMAGE is not set: it names the image of members whose manifest names none")
        sys.exit(2)
    try:
        connection = auth.from_kubeconfig(given.kubeconfig) if given.kubeconfig else auth.in_cluster()
    except Invalid as error:
        log.error("no access to an API server", error=str(error))
        sys.exit(2)
    options = Options(
        namespaces=() if given.all_namespaces else tuple(given.namespace),
        own_namespace=os.environ.get("MATRIARCH_OPERATOR_NAMESPACE") or connection.namespace,
        identity=os.environ.get("MATRIARCH_OPERATOR_POD") or socket.gethostname(),
        image=image,
        health_port=given.health_port,
    )
    sys.exit(asyncio.run(operate(connection, options, given.kubeconfig)))


async def operate(connection: auth.Connection, options: Options, kubeconfig: str | None = None) -> int:
    """One life of the operator; returns the exit code."""
    async with HttpKube(connection) as kube:
        app = App(kube, options)
        runner = await app.health.serve(options.health_port)
        try:
            return await _elected(app, connection, kubeconfig)
        finally:
            await app.election.release()
            await runner.cleanup()


async def _elected(app: App, connection: auth.Connection, kubeconfig: str | None) -> int:
    app.health.started = True  # a standby is ready to take over
    await app.election.acquire()
    stop = asyncio.Event()
    lost = asyncio.create_task(app.election.hold(), name="election")
    work = asyncio.create_task(app.run(), name="work")  # before kopf: it waits for tasks that were made after it
    for task in (lost, work):
        task.add_done_callback(lambda _: stop.set())
    configured = kopf.OperatorSettings()
    settings.apply(configured)
    registry = handlers.registry(app.store, lambda: _credentials(connection, kubeconfig, configured))
    try:
        await kopf.operator(
            registry=registry,
            settings=configured,
            standalone=True,
            clusterwide=not app.options.namespaces,
            namespaces=list(app.options.namespaces),
            stop_flag=stop,
        )
    finally:
        failed = [task.get_name() for task in (lost, work) if task.done()]
        for task in (lost, work):
            task.cancel()
        await asyncio.wait((lost, work), timeout=DRAIN_S)
    for task in (lost, work):
        if task.done() and not task.cancelled() and task.exception() is not None:
            log.error("task ended", task=task.get_name(), exc_info=task.exception())
    return 1 if failed else 0


def _credentials(
    connection: auth.Connection, kubeconfig: str | None, configured: kopf.OperatorSettings
) -> kopf.ConnectionInfo:
    if kubeconfig:
        os.environ["KUBECONFIG"] = kubeconfig
        found = kopf.login_with_kubeconfig(settings=configured)
        if found is None:
            raise kopf.LoginError(f"{kubeconfig} cannot be used")
        return found
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_path=str(auth.SERVICE_ACCOUNT / "ca.crt"),
        scheme="Bearer",
        token=connection.token.current() if connection.token else None,
        expiration=datetime.now(UTC) + LOGIN_LIFE,
    )


if __name__ == "__main__":
    main()
