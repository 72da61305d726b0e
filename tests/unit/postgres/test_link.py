"""Postgres' protocol, and a connection that speaks it, against servers that follow a script."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.words.errors import NotRunning, QueryFailed
from matriarch_agent.postgres import messages, sql
from matriarch_agent.postgres.link import Link
from matriarch_agent.postgres.messages import Inbox, Message, Nonsense, complaint_of, question, startup
from matriarch_agent.postgres.sql import Session

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def said(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


GREETING = said(b"R", b"\0\0\0\0") + said(b"S", b"a\0b\0") + said(b"K", b"\0" * 8) + said(b"Z", b"I")
ERROR = said(b"E", b"SERROR\0C42601\0Msyntax error\n at the end\0Dthe secret\0\0")


def description(*types: int) -> bytes:
    columns = b"".join(b"c\0" + struct.pack("!IHIHIH", 0, 0, kind, 0, 0, 0) for kind in types)
    return said(b"T", struct.pack("!H", len(types)) + columns)


def row(*values: bytes | None) -> bytes:
    cells = b"".join(b"\xff\xff\xff\xff" if v is None else struct.pack("!i", len(v)) + v for v in values)
    return said(b"D", struct.pack("!H", len(values)) + cells)


ROWS = description(16, 20, 25) + row(b"t", b"-7", "ü".encode()) + row(None, None, None) + said(b"C", b"SELECT 2\0")


async def heard(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    parameters = await reader.readexactly(length - 4)
    writer.write(GREETING)
    return parameters


@asynccontextmanager
async def server(folder: Path, script: Script) -> AsyncIterator[str]:
    """A socket's directory with this server in it."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(reader, writer)
        writer.close()

    listening = await asyncio.start_unix_server(accepted, folder / ".s.PGSQL.5432")
    try:
        yield str(folder)
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*answers: bytes) -> Script:
    """Each question is answered by the next of these, in single bytes; then the server hangs up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        for answer in answers:
            while (await heard(reader))[0] not in (b"Q", b"S"):
                pass
            for at in range(len(answer)):
                writer.write(answer[at : at + 1])
                await writer.drain()

    return script


async def test_rows(tmp_path: Path) -> None:
    ready = said(b"Z", b"I")
    noise = said(b"N", b"\0") + said(b"S", b"x\0y\0")
    script = answering(
        noise + ROWS + ready, said(b"1") + said(b"2") + ROWS + ready, said(b"I") + ready + noise, ROWS + ready
    )
    async with server(tmp_path, script) as folder:
        session = Session(folder, 5432, "postgres")
        expected = [(True, -7, "ü"), (None, None, None)]
        assert await session.rows("select") == expected
        assert await session.rows("select $1", (True,)) == expected
        assert await session.rows("") == []
        assert await session.row("select") == expected[0]
        await session.close()


async def test_a_session_begins_with_our_settings(tmp_path: Path) -> None:
    parameters: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parameters.append(await greet(reader, writer))
        assert await heard(reader) == (b"X", b"")
        parameters.append(b"left")

    async with server(tmp_path, script) as folder:
        async with sql.short_session(folder, 5432, "po stgres", statement_timeout_s=7.5):
            pass
        await asyncio.sleep(0.05)
    protocol, words = parameters[0][:4], parameters[0][4:].split(b"\0")
    told = dict(zip(words[::2], words[1::2], strict=False))
    assert protocol == b"\0\3\0\0" and parameters[1] == b"left"
    assert (told[b"user"], told[b"database"], told[b"client_encoding"]) == (b"po stgres", b"postgres", b"UTF8")
    assert (told[b"search_path"], told[b"statement_timeout"]) == (b"pg_catalog", b"7500")


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (said(b"E", b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"), "starting up .SQLSTATE 57P03"),
        (said(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"), "asks our own account for a password"),
        (b"", "hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no session"),
        (said(b"T", b"\0\0"), "unexpected message"),
    ],
)
async def test_why_there_is_no_session(tmp_path: Path, greeting: bytes, words: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(greeting)

    async with server(tmp_path, script) as folder:
        with pytest.raises(NotRunning, match=words):
            await Session(folder, 5432, "postgres").row("select")
    with pytest.raises(NotRunning):
        await Session(str(tmp_path / "nowhere"), 5432, "postgres").row("select")


async def test_an_error_tells_its_sentence_and_no_secret(tmp_path: Path) -> None:
    async with server(tmp_path, answering(ERROR + said(b"Z", b"I"))) as folder:
        session = Session(folder, 5432, "postgres")
        with pytest.raises(QueryFailed) as caught:
            await session.row("alter role a password 'the secret'")
        assert str(caught.value) == "syntax error at the end (SQLSTATE 42601)"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        description(16),
        description(16, 20) + row(b"t"),
        description(20) + row(b"seven"),
        row(b"t"),
        said(b"T", b"\0\x01c"),
        said(b"D", b"\0\x01\0\0\0\x09x"),
        said(b"G", b"\0\0\0"),
        b"T\0\0\0\1",
        b"T\xff\xff\xff\xff",
    ],
)
async def test_a_broken_answer_ends_the_connection_and_the_next_question_begins_anew(
    tmp_path: Path, answer: bytes
) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        good = ROWS + said(b"Z", b"I")
        await answering(answer if connections == 1 else good)(reader, writer)

    async with server(tmp_path, script) as folder:
        session = Session(folder, 5432, "postgres")
        with pytest.raises(QueryFailed):
            await session.row("select")
        assert await session.row("select") == (True, -7, "ü")
        await session.close()
    assert connections == 2


async def test_a_server_that_restarts_between_two_questions_is_met_anew(tmp_path: Path) -> None:
    async with server(tmp_path, answering(ROWS + said(b"Z", b"I"))) as folder:
        session = Session(folder, 5432, "postgres")
        for _ in range(3):
            assert await session.row("select") == (True, -7, "ü")
            await asyncio.sleep(0.05)
        await session.close()


@pytest.mark.parametrize("greets", [True, False])
async def test_a_server_that_hangs_costs_its_time_and_not_a_moment_more(tmp_path: Path, greets: bool) -> None:
    """psycopg asked a hung server to cancel, and waited for it."""
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greets:
            await greet(reader, writer)
        while await reader.read(1000):
            pass
        closed.set()

    async with server(tmp_path, script) as folder:
        session = Session(folder, 5432, "postgres")
        began = time.monotonic()
        with pytest.raises(QueryFailed, match=r"within 0\.2 s"):
            await session.row("select pg_sleep(60)", timeout=0.2)
        assert time.monotonic() - began < 1
        async with asyncio.timeout(2):
            await closed.wait()
        asking = asyncio.create_task(session.row("select"))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert session._link is None or session._link.ended


async def test_a_session_that_never_comes_about_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(sql, "CONNECT_WITHIN_S", 0.1)
    async with server(tmp_path, script) as folder:
        with pytest.raises(NotRunning, match=r"within 0\.1 s"):
            async with sql.short_session(folder, 5432, "postgres", statement_timeout_s=9):
                pass


@given(st.lists(st.binary(min_size=1, max_size=40)))
def test_any_bytes_are_messages_or_nonsense(pieces: list[bytes]) -> None:
    inbox = Inbox()
    try:
        for piece in pieces:
            for kind, body in inbox.feed(piece):
                with suppress(Nonsense):
                    messages.types_of(body)
                with suppress(Nonsense):
                    messages.values_of(body, (16, 20, 25))
                assert len(kind) == 1 and "\n" not in str(complaint_of(body))
    except Nonsense:
        return


@given(st.binary(max_size=200), st.integers(1, 50))
def test_messages_come_in_any_pieces(body: bytes, size: int) -> None:
    data, inbox = said(b"N", body) * 3, Inbox()
    found = [one for at in range(0, len(data), size) for one in inbox.feed(data[at : at + size])]
    assert found == [Message(b"N", body)] * 3


def test_what_has_no_form_is_refused() -> None:
    for broken in (lambda: question("a\0b"), lambda: question("$1", ("a\0b",)), lambda: startup({"user": "a\0b"})):
        with pytest.raises(Nonsense):
            broken()


async def test_a_link_is_of_no_use_after_its_end(tmp_path: Path) -> None:
    async with server(tmp_path, answering()) as folder:
        link = await Link.open(f"{folder}/.s.PGSQL.5432", {"user": "a"})
        await asyncio.sleep(0.05)
        assert link.ended
        with pytest.raises(QueryFailed):
            await link.ask("select")
