"""The informer over every kind of `Kube`: it must not depend on how one of them ends a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from matriarch.kube.api import ENDPOINTS, Object
from matriarch.kube.informer import Informer

from .conftest import Site


class Followed:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.changed = asyncio.Event()
        self.informer = Informer(
            site.kube, ENDPOINTS, site.namespace, "cluster-name=demo", on_change=lambda _old, _new: self.changed.set()
        )

    def leader(self) -> str | None:
        item = self.informer.cache.get((self.site.namespace, "demo"))
        return item["metadata"]["annotations"]["leader"] if item else None

    async def until_leader_is(self, leader: str | None) -> None:
        async with asyncio.timeout(20):
            while self.leader() != leader:
                self.changed.clear()
                await self.changed.wait()

    async def take(self, leader: str) -> Object:
        patch: Object = {"metadata": {"annotations": {"leader": leader}}}
        return await self.site.kube.patch(ENDPOINTS, self.site.namespace, "demo", patch)


@pytest.fixture
async def followed(site: Site) -> AsyncIterator[Followed]:
    followed = Followed(site)
    metadata = {"name": "demo", "labels": {"cluster-name": "demo"}, "annotations": {"leader": "a"}}
    await site.kube.create(ENDPOINTS, site.namespace, {"metadata": metadata})
    running = asyncio.create_task(followed.informer.run())
    yield followed
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_changes_arrive(followed: Followed) -> None:
    await followed.until_leader_is("a")
    await followed.take("b")
    await followed.until_leader_is("b")
    await followed.site.kube.delete(ENDPOINTS, followed.site.namespace, "demo")
    await followed.until_leader_is(None)


async def test_refreshing_again_and_again_does_no_harm(followed: Followed) -> None:
    for number in range(20):
        followed.informer.refresh()
        followed.informer.put(await followed.take(str(number)))
        assert followed.leader() == str(number)
        await asyncio.sleep(number / 1000)
    followed.informer.refresh()
    await followed.take("last")
    await followed.until_leader_is("last")


@pytest.mark.parametrize("site", ["fake", "http"], indirect=True)
@pytest.mark.parametrize("cleanly", [True, False])
async def test_broken_streams_lose_nothing(followed: Followed, cleanly: bool) -> None:
    assert followed.site.server is not None
    for number in range(10):
        await followed.until_leader_is(str(number - 1) if number else "a")
        followed.site.server.drop_streams("test", cleanly=cleanly)
        await followed.take(str(number))
    await followed.until_leader_is("9")
