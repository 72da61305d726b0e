"""Clients that are slow, greedy or gone before the TLS handshake is over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from unit.rest.test_access import client, configured, secrets, serving

from matriarch_agent.rest import listener


@contextlib.asynccontextmanager
async def silent(port: int, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Clients that connect and say nothing."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.transport.abort()
        await asyncio.sleep(0)


async def hung_up(reader: asyncio.StreamReader, within: float) -> bool:
    """Whether the server ends the connection in time."""
    with contextlib.suppress(ConnectionResetError):
        try:
            async with asyncio.timeout(within):
                return await reader.read() == b""
        except TimeoutError:
            return False
    return True


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 5)
    yield


async def test_who_is_still_in_the_handshake_counts(tmp_path: Path) -> None:
    """Silent clients took all the file descriptors that the agent needs for the API server."""
    secrets(tmp_path)
    async with serving(configured(tmp_path)) as served, silent(served.server.port, 5) as first:
        await asyncio.sleep(0.1)
        async with silent(served.server.port, 3) as more:
            assert all([await hung_up(reader, 1.0) for reader in more])
        assert not first[0].at_eof()
        began = time.monotonic()
        assert all([await hung_up(reader, 4.0) for reader in first])
        assert time.monotonic() - began < 3.5, "two seconds for a handshake"
        assert await served.ask("GET", "/primary", client()) == 200, "and then there is room again"


async def test_who_leaves_in_the_handshake_counts_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path)) as served:
        for _ in range(4):
            async with silent(served.server.port, 5):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
        for _ in range(8):
            _, writer = await asyncio.open_connection("127.0.0.1", served.server.port, ssl=client())
            writer.close()
            await asyncio.sleep(0.05)
        _, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.transport.abort()
        assert await served.ask("GET", "/primary", client()) == 200
    assert [line for line in caplog.records if line.levelname != "DEBUG"] == []
