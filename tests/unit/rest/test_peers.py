"""The client that asks other members: against a real member, and against everything else that may sit at an address."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from unit.ha.document_cases import PRIMARY_LSN, primary_postgres, view_of
from unit.rest.fake_face import FakeFace, serving

from matriarch.ha.view import PeerAnswer
from matriarch_agent.peers import MAX_ANSWER, HttpPeers
from matriarch_agent.ports import FailsafeClaim

CLAIM = FailsafeClaim(
    "demo-0", "http://10.0.0.10:8008/patroni", "postgres://10.0.0.10:5432/postgres", {"demo_1": 7}, 9.0
)
SILENT = PeerAnswer("demo-1", reachable=False)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """Something that is not a member, at an address of its own."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/patroni"
    finally:
        server.close()


def saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


def ok(body: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


async def test_a_member_answers() -> None:
    face = FakeFace()
    async with serving(face) as server, HttpPeers("demo") as peers:
        answer = await peers.ask("demo-0", f"http://127.0.0.1:{server.port}/patroni", timeout=2)
    assert (answer.reachable, answer.lsn, answer.in_recovery) == (True, PRIMARY_LSN, False)


async def test_a_member_of_another_cluster_or_name_is_nobody() -> None:
    async with serving(FakeFace(view_of("demo-1"))) as server:
        url = f"http://127.0.0.1:{server.port}/patroni"
        async with HttpPeers("other") as peers:
            assert await peers.ask("demo-1", url, timeout=2) == SILENT
        async with HttpPeers("demo") as peers:
            assert (await peers.ask("demo-2", url, timeout=2)).reachable is False
            assert (await peers.ask("demo-1", url, timeout=2)).reachable is True


async def test_a_claim_is_accepted_or_not() -> None:
    face = FakeFace(view_of("demo-1"))
    async with serving(face) as server, HttpPeers("demo") as peers:
        url = f"http://127.0.0.1:{server.port}/patroni"
        assert await peers.claim(url, CLAIM, timeout=2) is True
        assert face.asked == [("failsafe", CLAIM)]
        face.look(postgres=primary_postgres())
        assert await peers.claim(url, CLAIM, timeout=2) is False


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense",
        ok(b""),
        ok(b"[]"),
        ok(b"{" * 1000),
        ok(b"\xff\xfe"),
        ok(b'{"state":"running"' + b" " * MAX_ANSWER + b"}"),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_whatever_is_no_member_is_not_reachable(answer: bytes) -> None:
    async with listening(saying(answer)) as url, HttpPeers("demo") as peers:
        found = await peers.ask("demo-1", url, timeout=2)
        accepted = await peers.claim(url, CLAIM, timeout=2)
    assert accepted is False
    if b"gzip" not in answer:
        assert found == SILENT


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        (ok(b"Accepted"), True),
        (ok(b"Accepted\n"), True),
        (ok(b"accepted"), False),
        (b"HTTP/1.0 500 No\r\n\r\nAccepted", False),
    ],
)
async def test_only_the_agreed_word_is_consent(answer: bytes, accepted: bool) -> None:
    async with listening(saying(answer)) as url, HttpPeers("demo") as peers:
        assert await peers.claim(url, CLAIM, timeout=2) is accepted


async def test_silence_ends_in_time() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"{"))
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    loop = asyncio.get_running_loop()
    for serve in (silence, drip):
        async with listening(serve) as url, HttpPeers("demo") as peers:
            started = loop.time()
            assert await peers.ask("demo-1", url, timeout=0.2) == SILENT
            assert await peers.claim(url, CLAIM, timeout=0.2) is False
            assert loop.time() - started < 1.5


async def test_an_address_where_nobody_listens_tells_so() -> None:
    async with HttpPeers("demo") as peers:
        assert await peers.ask("demo-1", "http://127.0.0.1:1/", timeout=1) == replace(SILENT, refused=True)
        assert await peers.claim("http://127.0.0.1:1/", CLAIM, timeout=1) is False


@pytest.mark.parametrize("url", ["", "nonsense", "file:///etc/passwd", "http://u:p@127.0.0.1:1/", "http://["])
async def test_an_unusable_address_is_not_reachable(url: str) -> None:
    async with HttpPeers("demo") as peers:
        assert await peers.ask("demo-1", url, timeout=1) == SILENT
        assert await peers.claim(url, CLAIM, timeout=1) is False


async def test_the_wire_form_of_a_claim_is_patronis_and_tells_for_how_long_it_asks() -> None:
    seen = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        seen.set_result((head.split("\r\n")[0], json.loads(await reader.readexactly(length))))
        writer.write(ok(b"Accepted"))

    async with listening(serve) as url, HttpPeers("demo") as peers:
        assert await peers.claim(url, CLAIM, timeout=2)
    line, body = await seen
    assert line == "POST /failsafe HTTP/1.1"
    assert body == {
        "name": "demo-0",
        "api_url": "http://10.0.0.10:8008/patroni",
        "conn_url": "postgres://10.0.0.10:5432/postgres",
        "slots": {"demo_1": 7},
        "ttl": 9.0,
    }
