"""kopf runs on the fake API server's HTTP face: discovery, list, watch, and events in both directions."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from matriarch.kube.api import CLUSTERS, Object
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_http import serve

Seen = asyncio.Queue[tuple[str | None, str, int]]


def handlers(address: str, seen: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=address, token="kopf")

    @kopf.on.event("matriarch.dev", "v1", "postgresclusters", registry=registry)
    async def look(type: str | None, name: str | None, body: kopf.Body, **_: Any) -> None:
        seen.put_nowait((type, name or "", body["spec"]["instances"]))

    return registry


def cluster(instances: int) -> Object:
    return {"metadata": {"name": "demo"}, "spec": {"instances": instances}}


async def test_kopf_sees_the_clusters_of_the_fake() -> None:
    server, seen, stop = FakeKubeServer(), Seen(), asyncio.Event()
    kube = server.client("user")
    await kube.create(CLUSTERS, "ns", cluster(1))
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.reconnect_backoff = 0.05
    async with serve(server) as address, asyncio.timeout(30):
        registry = handlers(address, seen)
        running = asyncio.create_task(
            kopf.operator(registry=registry, settings=settings, standalone=True, clusterwide=True, stop_flag=stop)
        )
        try:
            assert await seen.get() == (None, "demo", 1)
            await kube.patch(CLUSTERS, "ns", "demo", cluster(3))
            assert await seen.get() == ("MODIFIED", "demo", 3)
            server.drop_streams("kopf")
            await kube.patch(CLUSTERS, "ns", "demo", cluster(5))
            while (await seen.get())[2] != 5:
                pass
            await kube.delete(CLUSTERS, "ns", "demo")
            while (await seen.get())[0] != "DELETED":
                pass
        finally:
            stop.set()
            await running
