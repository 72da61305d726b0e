"""The whole process, kopf included, against the fake API server over HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from matriarch.kube import api
from matriarch.testing.fake_kube import FakeKubeClient, FakeKubeServer
from matriarch.testing.fake_kube_http import serve
from matriarch.words.errors import NotFound
from matriarch_operator.__main__ import arguments
from matriarch_operator.health import Health

NAMESPACE = "db"


@asynccontextmanager
async def operator(server: FakeKubeServer, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real program; it is killed at the end if it has not ended by itself."""
    async with serve(server) as address:
        config = folder / "kubeconfig"
        named = {"name": "fake", "cluster": {"server": address}}, {"name": "fake", "user": {"token": "operator"}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "system"}}
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [named[0]],
                    "users": [named[1]],
                    "contexts": [context],
                }
            )
        )
        environment = os.environ | {"MATRIARCH_POSTGRES_IMAGE": "pg:test", "MATRIARCH_OPERATOR_POD": "operator-0"}
        command = ("-m", "matriarch_operator", "--namespace", NAMESPACE, "--kubeconfig", str(config))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--health-port", "0", env=environment, cwd=folder
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _until(what: str, condition: Callable[[], Awaitable[bool]]) -> float:
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > 15:
            raise AssertionError(f"waited 15 s for: {what}")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _exists(client: FakeKubeClient, kind: api.Kind, name: str) -> bool:
    try:
        await client.get(kind, NAMESPACE, name)
    except NotFound:
        return False
    return True


async def _apply(client: FakeKubeClient) -> None:
    body = {
        "apiVersion": "matriarch.dev/v1",
        "kind": "PostgresCluster",
        "metadata": {"name": "demo", "namespace": NAMESPACE},
        "spec": {"storage": {"size": "1Gi"}},
    }
    await client.create(api.CLUSTERS, NAMESPACE, body)


async def test_a_cluster_is_made_kept_and_removed(tmp_path: Path) -> None:
    server = FakeKubeServer()
    client = server.client("person")
    await _apply(client)
    async with operator(server, tmp_path) as process:
        took = await _until("StatefulSet", lambda: _exists(client, api.STATEFUL_SETS, "demo"))
        print(f"at work {took:.2f} s after its start")
        await client.delete(api.SERVICES, NAMESPACE, "demo-ro")
        await _until("Service again", lambda: _exists(client, api.SERVICES, "demo-ro"))
        await client.delete(api.CLUSTERS, NAMESPACE, "demo")

        async def gone() -> bool:
            return not await _exists(client, api.CLUSTERS, "demo")

        await _until("deletion", gone)
        assert not await _exists(client, api.ENDPOINTS, "demo")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
    lease = await client.get(api.LEASES, "system", "matriarch-operator")
    assert not lease["spec"].get("holderIdentity"), "the next one need not wait"


async def test_who_loses_the_lease_ends(tmp_path: Path) -> None:
    server = FakeKubeServer()
    client = server.client("other")

    async def held() -> bool:
        try:
            lease = await client.get(api.LEASES, "system", "matriarch-operator")
        except NotFound:
            return False
        return bool(lease["spec"].get("holderIdentity"))

    async with operator(server, tmp_path) as process:
        await _until("the Lease", held)
        await client.patch(api.LEASES, "system", "matriarch-operator", {"spec": {"holderIdentity": "other"}})
        assert await asyncio.wait_for(process.wait(), 25) == 1


async def test_health_tells_what_is_stuck() -> None:
    stalls: dict[str, float] = {}
    health = Health(lambda: stalls, lambda: None)
    runner = await health.serve(0, "127.0.0.1")
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def code(path: str) -> int:
            async with session.get(path) as answer:
                return answer.status

        assert await code("/readyz") == 503
        health.started = True
        assert [await code(path) for path in ("/readyz", "/healthz", "/metrics")] == [200, 200, 200]
        stalls["queue"] = 1000.0
        assert await code("/healthz") == 503
    await runner.cleanup()


def test_the_command_line() -> None:
    assert arguments(["--namespace", "a", "--namespace=b"]).namespace == ["a", "b"]
    assert arguments(["--all-namespaces"]).all_namespaces
    for wrong in ([], ["--all-namespaces", "--namespace", "a"]):
        with pytest.raises(SystemExit):
            arguments(wrong)
