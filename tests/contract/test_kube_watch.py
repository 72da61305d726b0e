"""Watches, the same on every site."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from matriarch.kube.api import ENDPOINTS, SECRETS, WatchEvent
from matriarch.words.errors import Gone, Unavailable

from .conftest import Site

Seen = list[tuple[str, str]]


@asynccontextmanager
async def watching(site: Site, version: str, labels: str = "") -> AsyncIterator[asyncio.Queue[WatchEvent]]:
    events: asyncio.Queue[WatchEvent] = asyncio.Queue()

    async def follow() -> None:
        async for event in site.kube.watch(ENDPOINTS, site.namespace, labels=labels, version=version):
            events.put_nowait(event)

    task = asyncio.create_task(follow())
    try:
        yield events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_change(events: asyncio.Queue[WatchEvent]) -> tuple[str, str]:
    async with asyncio.timeout(10):
        while (event := await events.get()).type == "BOOKMARK":
            pass
    return event.type, event.object["metadata"]["name"]


async def test_a_watch_goes_on_where_the_list_ended(site: Site) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "before"}})
    listing = await site.kube.list(ENDPOINTS, site.namespace)
    await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "between"}})
    async with watching(site, listing.version) as events:
        assert await next_change(events) == ("ADDED", "between")
        await site.kube.create(SECRETS, site.namespace, {"metadata": {"name": "other-kind"}})
        await site.kube.patch(ENDPOINTS, site.namespace, "before", {"metadata": {"annotations": {"leader": "x"}}})
        assert await next_change(events) == ("MODIFIED", "before")
        await site.kube.delete(ENDPOINTS, site.namespace, "between")
        assert await next_change(events) == ("DELETED", "between")


async def test_an_event_carries_the_object_of_its_moment(site: Site) -> None:
    made = await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "demo"}})
    async with watching(site, made["metadata"]["resourceVersion"]) as events:
        versions = []
        for number in range(3):
            patch = {"metadata": {"annotations": {"n": str(number)}}}
            changed = await site.kube.patch(ENDPOINTS, site.namespace, "demo", patch)
            versions.append(changed["metadata"]["resourceVersion"])
        async with asyncio.timeout(10):
            seen = [await events.get() for _ in range(3)]
    assert [event.object["metadata"]["annotations"]["n"] for event in seen] == ["0", "1", "2"]
    assert [event.object["metadata"]["resourceVersion"] for event in seen] == versions


async def test_leaving_the_selection_looks_like_a_deletion(site: Site) -> None:
    listing = await site.kube.list(ENDPOINTS, site.namespace)
    async with watching(site, listing.version, labels="role=primary") as events:
        await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "a", "labels": {"role": "replica"}}})
        await site.kube.patch(ENDPOINTS, site.namespace, "a", {"metadata": {"labels": {"role": "primary"}}})
        assert await next_change(events) == ("ADDED", "a")
        await site.kube.patch(ENDPOINTS, site.namespace, "a", {"metadata": {"labels": {"role": "replica"}}})
        assert await next_change(events) == ("DELETED", "a")


async def test_a_line_longer_than_any_buffer_arrives(site: Site) -> None:
    listing = await site.kube.list(ENDPOINTS, site.namespace)
    text = "é" * 100_000
    async with watching(site, listing.version) as events:
        await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "big", "annotations": {"a": text}}})
        async with asyncio.timeout(10):
            event = await events.get()
    assert event.object["metadata"]["annotations"]["a"] == text


async def test_silence_is_unavailable(site: Site) -> None:
    listing = await site.kube.list(ENDPOINTS, site.namespace)
    with pytest.raises(Unavailable, match="brought nothing"):
        async with asyncio.timeout(10):
            async for _ in site.kube.watch(ENDPOINTS, site.namespace, version=listing.version, idle_timeout=0.5):
                pass


# A real API server forgets after five minutes at the earliest; kube/test_answers.py has its words for it.
@pytest.mark.parametrize("site", ["fake", "http"], indirect=True)
async def test_a_forgotten_version_is_gone(site: Site) -> None:
    listing = await site.kube.list(ENDPOINTS, site.namespace)
    await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "demo"}})
    assert site.server is not None
    site.server.compact()
    with pytest.raises(Gone):
        async with asyncio.timeout(10):
            async for _ in site.kube.watch(ENDPOINTS, site.namespace, version=listing.version, idle_timeout=5):
                pass
