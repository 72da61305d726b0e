"""The agent's entry: read the environment, wire the ports, run until told to stop.

Exit codes: 0 after SIGTERM with Postgres stopped; 2 for a wrong environment (init starts the agent again, slower each
time, and the message says which variable to mend); anything else is a defect.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping
from contextlib import AsyncExitStack

from matriarch.ha.view import Me
from matriarch.kube.auth import in_cluster
from matriarch.kube.http import HttpKube
from matriarch.words.errors import Invalid
from matriarch.words.names import PORT_NAME, PROBES_PORT, REST_PORT
from matriarch_agent.agent import Agent
from matriarch_agent.face import AgentFace
from matriarch_agent.init.client import InitClient
from matriarch_agent.journal import Log
from matriarch_agent.logs import configure, logger
from matriarch_agent.peers import HttpPeers
from matriarch_agent.postgres import LocalPostgres, local_postgres
from matriarch_agent.rest.configuration import RestConfiguration, read_configuration
from matriarch_agent.rest.server import ProbeServer, RestServer
from matriarch_agent.rest.service import RestService
from matriarch_agent.store import LOCK_SILENCE_S

TLS_BUFFER = 32 * 1024
"""Bytes that asyncio allots to each connection with TLS. Its own choice is 256 KB; a record has at most 16."""


class WrongEnvironment(ValueError):
    """A variable is missing or wrong; the message names it."""


def now() -> float:
    """The member's monotonic clock, in seconds; init counts the lease on the same one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rest_from(environ: Mapping[str, str]) -> RestConfiguration:
    """How the REST API is served. Raises WrongEnvironment."""
    try:
        return read_configuration(environ)
    except Invalid as error:
        raise WrongEnvironment(str(error)) from None


def me_from(environ: Mapping[str, str], rest_scheme: str = "http") -> Me:
    """Who this member is. Raises WrongEnvironment."""

    def need(name: str) -> str:
        value = environ.get(name, "")
        if not value:
            raise WrongEnvironment(f"{name} is not set: the operator's pod template sets it from the pod's own fields")
        return value

    return Me(
        name=need("MATRIARCH_MEMBER"),
        cluster=need("MATRIARCH_CLUSTER"),
        pod_ip=need("MATRIARCH_POD_IP"),
        pod_uid=need("MATRIARCH_POD_UID"),
        node=environ.get("MATRIARCH_NODE", ""),
        rest_scheme=rest_scheme,
        labels=labels_from(environ.get("MATRIARCH_LABELS", "")),
        port_name=environ.get("MATRIARCH_SERVICE_PORT_NAME", PORT_NAME),
    )


def postgres_from(environ: Mapping[str, str], me: Me, init: InitClient, log: Log) -> LocalPostgres:
    """The adapter for this container's Postgres. Raises WrongEnvironment."""
    try:
        return local_postgres(environ, me, init, log)
    except ValueError as error:
        raise WrongEnvironment(str(error)) from None


def labels_from(text: str) -> dict[str, str]:
    """`key=value,...` as a mapping; nothing when it is empty. Raises WrongEnvironment."""
    found = dict(part.strip().split("=", 1) for part in text.split(",") if part.count("=") == 1)
    if len(found) != (text.count(",") + 1 if text else 0) or not all(key and value for key, value in found.items()):
        raise WrongEnvironment(f"MATRIARCH_LABELS has to be key=value,key=value, not {text!r}")
    return found


async def live(environ: Mapping[str, str]) -> None:
    """Wire the real adapters to an agent and run it."""
    rest = rest_from(environ)
    me = me_from(environ, rest.scheme)
    namespace = environ.get("MATRIARCH_NAMESPACE", "default")
    log = logger(me.name)
    async with AsyncExitStack() as stack:
        init = InitClient(os.path.join(environ.get("MATRIARCH_RUN", "/run/matriarch"), "init.sock"))
        stack.push_async_callback(init.close)
        server = in_cluster()
        kube = await stack.enter_async_context(HttpKube(server))
        lock_kube = await stack.enter_async_context(HttpKube(server, silence_s=LOCK_SILENCE_S))
        peers = await stack.enter_async_context(HttpPeers(me.cluster))
        postgres = postgres_from(environ, me, init, log)
        agent = Agent(me, namespace, kube, lock_kube, postgres, init, peers, now, time.time, log)
        heed_signals(agent)
        await _serve(stack, agent, peers, rest, environ.get("MATRIARCH_REST_HOST", "0.0.0.0"))
        log("agent started", member=me.name, cluster=me.cluster, pod_ip=me.pod_ip)
        await agent.run()
        log("agent leaves", member=me.name)


def heed_signals(agent: Agent) -> None:
    """SIGTERM ends the member; SIGHUP, which init passes on, applies the configuration again, as `POST /reload` does:
    without a handler it would kill the agent."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, agent.terminate)
    loop.add_signal_handler(signal.SIGHUP, AgentFace(agent).reload)


async def _serve(stack: AsyncExitStack, agent: Agent, peers: HttpPeers, rest: RestConfiguration, host: str) -> None:
    """The REST API, until the stack is left."""

    def complain(words: str) -> None:
        agent.log("REST API", problem=words)
        agent.announcer.say("RestApi", words, warning=True)

    face = AgentFace(agent)
    server = RestServer(face, peers, host, REST_PORT, rest)
    stack.push_async_callback(server.close)
    service = RestService(server, peers, rest, complain, agent.log)
    await service.look()
    stack.callback(asyncio.create_task(service.run(), name="rest-service").cancel)
    if rest.separate_probes:
        probes = ProbeServer(face, host, PROBES_PORT)
        stack.push_async_callback(probes.close)
        await probes.start()


def main() -> None:
    """Run the agent."""
    configure()
    SSLProtocol.max_size = TLS_BUFFER
    try:
        asyncio.run(live(os.environ))
    except WrongEnvironment as error:
        print(f"matriarch-agent: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
