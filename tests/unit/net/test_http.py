"""HTTP as a client, against everything that may sit at the other end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.net.site import listening, saying
from unit.rest.certificates import AUTHORITY, MEMBER, STRANGER

from matriarch.net.http import Broken, Head, HttpConnection, Unsayable
from matriarch.net.origin import Origin

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Two: a\r\nX-Two: b\r\n\r\n"
    b"4\r\nab\r\n\r\n3;x=y\r\ncde\r\n0\r\nT: u\r\n\r\n"
)
BODY = b"ab\r\ncde"


async def ask(origin: Origin, method: str = "GET", body: bytes | None = None) -> tuple[Head, bytes]:
    connection = await HttpConnection.open(origin, None)
    try:
        return await connection.ask(method, "/x", {"A": "b"}.items(), body), await connection.rest()
    finally:
        connection.abort()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_an_answer_in_any_pieces(size: int) -> None:
    pieces = [CHUNKED[at : at + size] for at in range(0, len(CHUNKED), size)]
    async with listening(saying(*pieces)) as origin:
        head, body = await ask(origin)
    assert (head.status, head.headers["x-two"], body) == (200, "b", BODY)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 500 No\r\n\r\n", b"abc"),
    ],
)
async def test_the_forms_of_an_answer(said: bytes, body: bytes) -> None:
    async with listening(saying(said)) as origin:
        assert (await ask(origin))[1] == body


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 100_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
async def test_what_is_no_whole_answer_is_broken(said: bytes) -> None:
    async with listening(saying(said)) as origin:
        with pytest.raises(Broken) as caught:
            await ask(origin)
    assert not caught.value.refused


@settings(max_examples=50)
@given(st.binary(max_size=60))
async def test_no_bytes_raise_anything_else(said: bytes) -> None:
    async with listening(saying(b"HTTP/1.1 200 OK\r\n" + said)) as origin:
        try:
            await ask(origin)
        except Broken:
            return


async def test_a_reset_in_the_body_is_broken_and_no_end() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nbegun")
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with listening(reset) as origin:
        with pytest.raises(Broken):
            await ask(origin)


async def test_an_answer_that_comes_before_the_question_is_whole() -> None:
    """A server that refuses a large body does not read it."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(30)

    async with listening(refuse) as origin:
        async with asyncio.timeout(5):
            head, body = await ask(origin, "POST", b"x" * (16 << 20))
    assert (head.status, body) == (413, b"no")


async def test_a_body_has_its_limit() -> None:
    async with listening(saying(CHUNKED)) as origin:
        connection = await HttpConnection.open(origin, None)
        await connection.ask("GET", "/", (), None)
        with pytest.raises(Broken, match="longer than 3"):
            await connection.rest(3)
        connection.abort()


async def test_a_stream_is_held_up_while_nobody_reads() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while sent < 64 << 20:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with listening(flood) as origin:
        connection = await HttpConnection.open(origin, None)
        await connection.ask("GET", "/", (), None)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 64 << 20, "it is held up"
        received = 0
        while data := await connection.part():
            received += len(data)
        assert received == 64 << 20
        connection.abort()


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A b", "c"), ("A", "b\0"), ("Ä", "b")])
async def test_what_cannot_be_said_is_not_sent(header: tuple[str, str]) -> None:
    heard = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            heard.set()

    async with listening(listen) as origin:
        connection = await HttpConnection.open(origin, None)
        with pytest.raises(Unsayable) as caught:
            await connection.ask("GET", "/", [header], None)
        with pytest.raises(Unsayable):
            await (await HttpConnection.open(origin, None)).ask("GET", "/a b", (), None)
        connection.abort()
    assert not heard.is_set() and header[1] not in str(caught.value)


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", unused.getsockname()[1])
    with pytest.raises(Broken) as caught:
        await HttpConnection.open(origin, None)
    assert caught.value.refused
    with pytest.raises(Broken) as caught:
        await HttpConnection.open(Origin("http", "no.such.name.invalid", 80), None)
    assert not caught.value.refused


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "pem").write_text(MEMBER.certificate + MEMBER.key)
    context.load_cert_chain(folder / "pem")
    return context


async def test_certificates_are_verified(tmp_path: Path) -> None:
    async with listening(saying(CHUNKED), server_context(tmp_path)) as origin:
        connection = await HttpConnection.open(origin, ssl.create_default_context(cadata=AUTHORITY))
        await connection.ask("GET", "/", (), None)
        assert await connection.rest() == BODY
        connection.abort()
        with pytest.raises(Broken):
            await HttpConnection.open(origin, ssl.create_default_context(cadata=AUTHORITY), "another.name")
        with pytest.raises(Broken):
            await HttpConnection.open(origin, ssl.create_default_context(cadata=STRANGER.certificate))


async def test_a_handshake_that_hangs_is_left_at_once(tmp_path: Path) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with listening(silence) as origin:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await HttpConnection.open(Origin("https", origin.host, origin.port), ssl.create_default_context())
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("url", "origin", "header"),
    [
        ("http://demo", Origin("http", "demo", 80), "demo"),
        ("https://Demo:443/", Origin("https", "demo", 443), "demo"),
        ("https://[fd00::1]:6443/k8s/x/", Origin("https", "fd00::1", 6443, "/k8s/x"), "[fd00::1]:6443"),
    ],
)
def test_origins(url: str, origin: Origin, header: str) -> None:
    assert Origin.of(url) == origin and origin.header == header


@pytest.mark.parametrize(
    "url", ["", "demo", "ftp://x", "http://", "http://u@x", "http://[", "http://x:y", "http://x:99999"]
)
def test_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError):
        Origin.of(url)
