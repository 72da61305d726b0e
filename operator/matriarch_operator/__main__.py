"""The operator's command: `matriarch-operator --all-namespaces`.

Exit codes: 0 after SIGTERM or SIGINT; 1 when the election was lost or a watch ended for good; 2 for a wrong command
line or a missing environment. Any exit is safe: members need no operator to fail over, and the next one goes on from
what it sees.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import kopf
import structlog

from matriarch.kube import auth
from matriarch.kube.http import HttpKube
from matriarch.words.errors import Invalid
from matriarch_operator import logs
from matriarch_operator.app import App, Options
from matriarch_operator.election import NAME
from matriarch_operator.handlers import ClusterWatch, Login

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
        lease=os.environ.get("MATRIARCH_OPERATOR_LEASE") or NAME,
    )
    sys.exit(asyncio.run(operate(connection, options, given.kubeconfig)))


async def operate(connection: auth.Connection, options: Options, kubeconfig: str | None = None) -> int:
    """One life of the operator; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with HttpKube(connection) as kube:
        app = App(kube, options)
        runner = await app.health.serve(options.health_port)
        try:
            return await _until_stopped(app, stop, lambda settled: _credentials(connection, kubeconfig, settled))
        finally:
            await app.election.release()
            await runner.cleanup()


async def _until_stopped(app: App, stop: asyncio.Event, login: Login) -> int:
    """Waits for the election, works, and ends with the first of: a signal, the loss of the Lease, a task's end."""
    stopped = asyncio.create_task(stop.wait(), name="stop")
    elected = asyncio.create_task(_elected(app), name="election")
    await asyncio.wait((stopped, elected), return_when=asyncio.FIRST_COMPLETED)
    if not elected.done():
        elected.cancel()
        return 0
    await elected
    tasks = (
        asyncio.create_task(app.election.hold(), name="lease"),
        asyncio.create_task(app.run(), name="work"),
        asyncio.create_task(_watch(app, login), name="watch"),
    )
    await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
    ended = [task for task in tasks if task.done()]
    for task in (stopped, *tasks):
        task.cancel()
    await asyncio.wait(tasks, timeout=DRAIN_S)
    for task in ended:
        log.error("ended", task=task.get_name(), exc_info=None if task.cancelled() else task.exception())
    return 1 if ended else 0


async def _elected(app: App) -> None:
    # A watch on a kind that is not served yet would wait for ever without a word: first it must be there.
    await app.served()
    app.health.started = True  # a standby is ready to take over
    await app.election.acquire()


async def _watch(app: App, login: Login) -> None:
    """kopf gives a namespace up for good once it may not watch it, so it begins anew when one has come back."""
    while True:
        app.returned.clear()
        watch = asyncio.create_task(ClusterWatch(app.store, app.options.namespaces, login).run())
        returned = asyncio.create_task(app.returned.wait())
        try:
            await asyncio.wait((watch, returned), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                return await watch
        finally:
            watch.cancel()
            returned.cancel()


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
        ca_path=str(auth.SERVICE_ACCOUNT / "ca.crt") if connection.tls is not None else None,
        scheme="Bearer",
        token=connection.token.current() if connection.token else None,
        expiration=datetime.now(UTC) + LOGIN_LIFE,
    )


if __name__ == "__main__":
    main()
