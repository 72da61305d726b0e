"""The sites on which the contract of the `Kube` port is tested: the fake, our client on the fake's HTTP face, and our
client on a real API server when MATRIARCH_KUBECONFIG names one."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from matriarch.kube.api import Kind, Kube
from matriarch.kube.auth import Connection, Token, from_kubeconfig
from matriarch.kube.http import HttpKube
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_http import serve

NAMESPACES = Kind("v1", "Namespace", "namespaces", namespaced=False)


@dataclass(frozen=True)
class Site:
    kube: Kube
    namespace: str
    server: FakeKubeServer | None


KUBECONFIG = os.environ.get("MATRIARCH_KUBECONFIG", "")
SITES = ["fake", "http", *([pytest.param("real", marks=pytest.mark.e2e)] if KUBECONFIG else [])]


@pytest.fixture(params=SITES)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    server = FakeKubeServer(random.Random(1), guard=True)
    if request.param == "fake":
        yield Site(server.client("test"), namespace, server)
    elif request.param == "http":
        async with (
            serve(server) as address,
            HttpKube(Connection(address, token=Token(lambda: "test"))) as kube,
        ):
            yield Site(kube, namespace, server)
    else:
        async with HttpKube(from_kubeconfig(KUBECONFIG)) as kube:
            await kube.create(NAMESPACES, "", {"metadata": {"name": namespace}})
            try:
                yield Site(kube, namespace, None)
            finally:
                await kube.delete(NAMESPACES, "", namespace)
