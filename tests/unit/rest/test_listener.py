"""The REST API's door: what it makes of bytes, and what it does with clients that are slow, greedy or rude."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matriarch_agent.rest import exchange, listener, replies
from matriarch_agent.rest.listener import Listener
from matriarch_agent.rest.message import Request, Response

Answer = Callable[[Request], Awaitable[Response]]


@contextlib.asynccontextmanager
async def door(answer: Answer, **headers: str) -> AsyncIterator[int]:
    """A listener on a free port."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    port = int(sock.getsockname()[1])
    listening = Listener(answer, {name.replace("_", "-"): value for name, value in headers.items()})
    await listening.listen(sock)
    try:
        yield port
    finally:
        await listening.close()
        assert not listening._serving


async def echo(request: Request) -> Response:
    """What arrived, as JSON."""
    body = await replies.read_object(request, optional=True)
    seen = {"method": request.method, "path": request.path, "query": dict(request.query), "length": request.length}
    return replies.document(200, {**seen, "body": body if isinstance(body, dict) else body.status})


async def said(port: int, *pieces: bytes, pause: float = 0.002) -> bytes:
    """Everything that the server answers to a client that sends these pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


POST = b'POST /x?a=1&a=2&b HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{"x": "yz"}\n'


@pytest.mark.parametrize("size", [1, 5, 60, 1000])
async def test_a_request_in_any_pieces(size: int) -> None:
    async with door(echo) as port:
        answer = await said(port, *(POST[at : at + size] for at in range(0, len(POST), size)), pause=0)
    assert status(answer) == 200
    assert answer.endswith(
        b'{"method": "POST", "path": "/x", "query": {"a": "1", "b": ""}, "length": 12, "body": {"x": "yz"}}'
    )


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"*", "*"),
        (b"http://demo:8008/primary", "/primary"),
        (b"http://demo:8008", "/"),
        (b"//primary", "//primary"),
        (b"/%70rimary%20x", "/primary x"),
        (b"/a%ff", "/a\ufffd"),
    ],
)
async def test_targets(target: bytes, path: str) -> None:
    paths: list[str] = []

    async def note(request: Request) -> Response:
        paths.append(request.path)
        return Response(200)

    async with door(note) as port:
        assert status(await said(port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")) == 200
    assert paths == [path]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\r\n\r\n\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\na",
        b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"A" * 100_000,
    ],
)
async def test_what_is_no_request_is_told_so(nonsense: bytes) -> None:
    called: list[Request] = []

    async def note(request: Request) -> Response:
        called.append(request)
        return Response(200)

    async with door(note) as port:
        answer = await said(port, nonsense)
        assert status(await said(port, b"GET / HTTP/1.0\r\n\r\n")) == 200
    assert (400 <= status(answer) < 500 or status(answer) == 501) and len(called) == 1


@settings(max_examples=50)
@given(st.binary(max_size=80))
async def test_no_bytes_stop_the_server(data: bytes) -> None:
    async with door(echo) as port:
        await said(port, data + b"\r\n\r\n")
        assert status(await said(port, b"GET / HTTP/1.0\r\n\r\n")) == 200


async def test_a_head_may_be_as_long_as_it_says() -> None:
    start, end = b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"\r\n\r\n"
    room = exchange.LONGEST_HEAD - len(start) - len(end)
    async with door(echo) as port:
        assert status(await said(port, start + b"b" * room + end)) == 200
        assert status(await said(port, start + b"b" * (room + 1) + end)) == 400


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b'"length": null'),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65537, b'"body": 413'),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 300_000, b'"body": 413'),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]", b'"body": 400'),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n{}" + b" " * 65534, b'"body": {}'),
    ],
    ids=["chunked", "too large", "far too large and half sent", "not an object", "as large as it may be"],
)
async def test_bodies(request_bytes: bytes, body: bytes) -> None:
    async with door(echo) as port:
        assert body in await said(port, request_bytes)


async def test_a_body_that_comes_slowly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "BODY_TIMEOUT_S", 0.2)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    async with door(echo) as port:
        assert b'"body": 408' in await said(port, head)
        assert b'"body": 408' in await said(port, head, *[b"{"] * 8, pause=0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"{")
        writer.write_eof()
        assert b'"body": 400' in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_waits_for_leave_to_send_gets_it() -> None:
    """curl waits a second for it before it sends a body of some size."""
    async with door(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        async with asyncio.timeout(2):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"{}")
            assert b'"body": {}' in await reader.read()
        writer.close()
        await writer.wait_closed()
        large = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n"
        refused = await said(port, large)
        assert status(refused) == 200 and b'"body": 413' in refused, "nobody is asked for what is not wanted"


async def test_a_head_that_drips_costs_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_TIMEOUT_S", 0.3)
    async with door(echo) as port:
        began = time.monotonic()
        assert await said(port, *[b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"A: b\r\n"] * 20], pause=0.05) == b""
        assert time.monotonic() - began < 3


async def test_a_client_that_does_not_take_its_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "ANSWER_TIMEOUT_S", 0.3)

    async def much(request: Request) -> Response:
        return Response(200, b"x" * (64 << 20), "text/plain")

    async with door(much) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.sleep(0.1)
        (serving,) = [one for one in asyncio.all_tasks() if one.get_name() == "rest-connection"]
        await asyncio.wait({serving}, timeout=5)
        assert serving.done()
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_a_handler_that_fails_is_a_500_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request) -> Response:
        raise KeyError("secret")

    async with door(fail) as port:
        answer = await said(port, b"GET /a HTTP/1.0\r\n\r\n")
    assert status(answer) == 500 and b"secret" not in answer
    assert "no answer to GET /a" in caplog.text


async def test_the_answers_head_is_the_servers_and_everybodys() -> None:
    async def answer(request: Request) -> Response:
        return Response(202, "ü".encode(), "text/html", {"lsn": "7"})

    async with door(answer, X_Team="søk", Content_length="77") as port:
        head = (await said(port, b"GET / HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"HTTP/1.1 202 Accepted"
    assert {b"Content-Type: text/html; charset=utf-8", b"lsn: 7", b"Content-Length: 2", b"Connection: close"} < {*head}
    assert "X-Team: søk".encode() in head and not any(line.endswith(b"77") for line in head)


async def test_an_answer_reaches_a_client_that_goes_on_sending() -> None:
    """To hang up on bytes that nobody has read would reset the connection and take the answer with it."""

    async def refuse(request: Request) -> Response:
        return Response(401, b"no", "text/html")

    async with door(refuse) as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"
        assert status(await said(port, head, *[b"x" * 100_000] * 10, pause=0)) == 401


async def test_closing_waits_a_moment_for_answers_and_not_longer() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.1 if request.path == "/soon" else 60)
        return Response(200)

    async with door(slow) as port:
        soon, never = (asyncio.create_task(said(port, b"GET /%b HTTP/1.0\r\n\r\n" % path)) for path in (b"soon", b"n"))
        await asyncio.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert status(await soon) == 200 and await never == b""
