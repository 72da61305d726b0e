"""Connections that are kept: which are used again, and which must not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from unit.net.site import Handler, listening

from matriarch.net import pool
from matriarch.net.http import Broken
from matriarch.net.pool import ConnectionPool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Counts connections and requests, and answers each with `answer`, then with `after` unasked."""

    def __init__(self, answer: bytes = OK, after: bytes = b"", hang_up: bool = False) -> None:
        self.answer, self.after, self.hang_up = answer, after, hang_up
        self.connections = self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            writer.write(self.answer)
            if self.after or self.hang_up:
                await asyncio.sleep(0.05)
                writer.write(self.after)
            if self.hang_up:
                return


@asynccontextmanager
async def pooled(server: Handler, limit: int = 2) -> AsyncIterator[ConnectionPool]:
    async with listening(server) as origin:
        found = ConnectionPool(origin, None, None, limit=limit, dress=lambda _: None)
        try:
            yield found
        finally:
            await found.close()


async def ask(connections: ConnectionPool) -> bytes:
    async with asyncio.timeout(5), connections.connection() as one:
        await one.ask("GET", "/", (), None)
        return await one.rest()


async def test_a_connection_is_used_again() -> None:
    server = Server()
    async with pooled(server) as connections:
        for _ in range(5):
            assert await ask(connections) == b"ok"
    assert (server.connections, server.requests) == (1, 5)


@pytest.mark.parametrize(
    "server",
    [
        Server(hang_up=True),
        Server(after=b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
        Server(after=b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", hang_up=True),
        Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
        Server(OK + b"x"),
        Server(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ],
    ids=["hung up", "spoke unasked", "spoke and hung up", "said so", "said too much", "an old protocol"],
)
async def test_what_cannot_carry_another_request_is_let_go(server: Server) -> None:
    """What a server says unasked would be taken for the answer to the next request."""
    async with pooled(server) as connections:
        assert await ask(connections) == b"ok"
        await asyncio.sleep(0.1)
        assert await ask(connections) == b"ok"
    assert (server.connections, server.requests) == (2, 2)


async def test_a_connection_in_the_middle_of_an_answer_is_not_used_again() -> None:
    server = Server()
    async with pooled(server) as connections:
        async with connections.connection() as one:
            await one.ask("GET", "/", (), None)
        assert await ask(connections) == b"ok"
    assert server.connections == 2


async def test_whoever_comes_late_waits_and_gets_the_place_of_one_who_gave_up() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"slow" in await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(60)
        writer.write(OK)

    async def slow(connections: ConnectionPool) -> None:
        async with asyncio.timeout(0.2), connections.connection() as one:
            await one.ask("GET", "/slow", (), None)

    async with pooled(hang, limit=1) as connections:
        patient = asyncio.create_task(slow(connections))
        await asyncio.sleep(0.05)
        assert await ask(connections) == b"ok"
        with pytest.raises(TimeoutError):
            await patient


async def test_an_idle_connection_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEPT_S", 0.05)
    server = Server()
    async with pooled(server) as connections:
        await ask(connections)
        await asyncio.sleep(0.15)
        assert not connections._kept
        await ask(connections)
    assert server.connections == 2


async def test_closing_ends_what_is_under_way_and_a_later_call_begins_anew() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            if b"slow" not in await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)

    async def slow(connections: ConnectionPool) -> None:
        async with connections.connection() as one:
            await one.ask("GET", "/slow", (), None)

    async with pooled(hang) as connections:
        under_way = asyncio.create_task(slow(connections))
        await asyncio.sleep(0.05)
        await connections.close()
        with pytest.raises(Broken):
            async with asyncio.timeout(2):
                await under_way
        assert await ask(connections) == b"ok"
