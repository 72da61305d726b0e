"""What only the HTTP client has to get right: budgets, dead connections, credentials, paging."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from unit.net.site import Handler, listening

from matriarch.kube.api import ENDPOINTS, SECRETS
from matriarch.kube.auth import Connection, Token
from matriarch.kube.http import HttpKube
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_http import serve
from matriarch.words.errors import DeadlineSpent, Forbidden, NotFound, Throttled, Unavailable


@asynccontextmanager
async def tcp(handler: Handler) -> AsyncIterator[HttpKube]:
    """A client for a server that speaks raw bytes."""
    async with listening(handler) as origin, HttpKube(Connection(f"http://{origin.header}")) as kube:
        yield kube


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_a_hanging_server_costs_exactly_the_budget() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with tcp(hang) as kube:
        began = time.monotonic()
        with pytest.raises(DeadlineSpent):
            await kube.get(ENDPOINTS, "ns", "demo", timeout=0.3)
        assert 0.29 < time.monotonic() - began < 3


async def test_a_body_that_never_ends_costs_the_budget_too() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async with tcp(drip) as kube:
        with pytest.raises(DeadlineSpent):
            await kube.get(ENDPOINTS, "ns", "demo", timeout=0.3)


async def test_waiting_for_a_free_connection_is_in_the_budget() -> None:
    server = FakeKubeServer()
    async with serve(server) as address, HttpKube(Connection(address), connections=1) as kube:
        server.faults_for("anonymous").outage = True
        results = await asyncio.gather(
            *(kube.get(ENDPOINTS, "ns", "demo", timeout=0.3) for _ in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [DeadlineSpent] * 3
        server.faults_for("anonymous").outage = False
        with pytest.raises(NotFound):
            await kube.get(ENDPOINTS, "ns", "demo")


async def test_watches_leave_the_connections_of_calls_alone() -> None:
    async with serve(FakeKubeServer()) as address, HttpKube(Connection(address), connections=1) as kube:
        listing = await kube.list(ENDPOINTS, "ns")
        watches = [kube.watch(ENDPOINTS, "ns", version=listing.version) for _ in range(3)]
        nexts = [asyncio.ensure_future(anext(watch)) for watch in watches]
        await asyncio.sleep(0.05)
        await kube.create(ENDPOINTS, "ns", {"metadata": {"name": "demo"}}, timeout=2)
        async with asyncio.timeout(5):
            assert [event.type for event in await asyncio.gather(*nexts)] == ["ADDED"] * 3
        for watch in watches:
            await watch.aclose()


async def test_a_refused_connection_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with HttpKube(Connection(f"http://127.0.0.1:{port}")) as kube:
        with pytest.raises(Unavailable):
            await kube.get(ENDPOINTS, "ns", "demo")
        with pytest.raises(Unavailable):
            await anext(kube.watch(ENDPOINTS, "ns", version="1"))


@pytest.mark.parametrize("verb", ["get", "patch", "delete"])
async def test_nothing_is_sent_twice(verb: str) -> None:
    """The second request on a kept connection meets a server that hangs up: it must come once and fail."""
    requests: list[bytes] = []

    async def hang_up_on_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            requests.append(head.split(b" ")[0])
            if len(requests) > 1:
                return
            writer.write(answer(b"{}"))

    async with tcp(hang_up_on_the_second) as kube:
        await kube.get(ENDPOINTS, "ns", "demo")
        with pytest.raises(Unavailable):
            if verb == "get":
                await kube.get(ENDPOINTS, "ns", "demo")
            elif verb == "patch":
                await kube.patch(ENDPOINTS, "ns", "demo", {})
            else:
                await kube.delete(ENDPOINTS, "ns", "demo")
    assert len(requests) == 2


async def test_a_proxys_page_is_unavailable() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"<html>Hello</html>"))

    async with tcp(page) as kube:
        with pytest.raises(Unavailable, match="not JSON"):
            await kube.get(ENDPOINTS, "ns", "demo")


async def test_a_watch_that_breaks_in_a_line_is_unavailable() -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        line = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":'
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(line), line))

    async with tcp(broken) as kube:
        watch = kube.watch(ENDPOINTS, "ns", version="1")
        assert (await anext(watch)).object["metadata"]["name"] == "a"
        with pytest.raises(Unavailable):
            await anext(watch)


async def test_a_redirect_is_not_followed() -> None:
    visits = 0

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with tcp(elsewhere) as kube:
        with pytest.raises(Exception, match="302"):
            await kube.get(ENDPOINTS, "ns", "demo")
    assert visits == 1


async def test_after_a_401_the_token_is_read_again() -> None:
    tokens = iter(["old", "new"])
    seen: list[bytes] = []

    async def guard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            token = next(line for line in head.split(b"\r\n") if line.startswith(b"Authorization"))
            seen.append(token.split()[-1])
            writer.write(answer(b"{}", "401 Unauthorized" if seen[-1] == b"old" else "200 OK"))

    async with tcp(guard) as plain:
        connection = Connection(plain._connection.server, token=Token(lambda: next(tokens)))
        async with HttpKube(connection) as kube:
            with pytest.raises(Forbidden):
                await kube.get(ENDPOINTS, "ns", "demo")
            await kube.get(ENDPOINTS, "ns", "demo")
    assert seen == [b"old", b"new"]


async def test_being_throttled_carries_the_time_asked_for() -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")

    async with tcp(busy) as kube:
        with pytest.raises(Throttled) as caught:
            await kube.list(ENDPOINTS, None)
    assert caught.value.retry_after_s == 3.0


async def test_a_long_list_is_read_in_pages_of_one_snapshot() -> None:
    server = FakeKubeServer()
    for number in range(1203):
        server.store.seed(SECRETS, "ns", {"metadata": {"name": f"s{number:04}"}})
    async with serve(server) as address, HttpKube(Connection(address)) as kube:
        listing = await kube.list(SECRETS, "ns")
    assert [item["metadata"]["name"] for item in listing.items] == [f"s{number:04}" for number in range(1203)]
    assert listing.version == str(server.store.version)


async def test_an_expired_page_starts_over_without_pages() -> None:
    queries: list[bytes] = []

    async def forgetful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            query = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].partition(b"?")[2]
            queries.append(query)
            item = b'{"metadata":{"name":"a"}}'
            if b"continue" in query:
                writer.write(answer(b"{}", "410 Gone"))
            elif b"limit" in query:
                writer.write(answer(b'{"metadata":{"continue":"c","resourceVersion":"1"},"items":[%s]}' % item))
            else:
                writer.write(answer(b'{"metadata":{"resourceVersion":"2"},"items":[%s,%s]}' % (item, item)))

    async with tcp(forgetful) as kube:
        listing = await kube.list(SECRETS, "ns")
    assert (len(listing.items), listing.version) == (2, "2")
    assert len(queries) == 3


async def test_sockets_notice_a_dead_peer() -> None:
    async with (
        serve(FakeKubeServer()) as address,
        HttpKube(Connection(address), silence_s=9.0) as kube,
        kube._pool.connection() as connection,
    ):
        sock = connection.socket
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 4
