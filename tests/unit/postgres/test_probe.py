"""What a session at a Postgres' socket proves, played by a server of a few bytes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from matriarch_agent.init import kernel
from matriarch_agent.postgres import probe as module
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.probe import Probe

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
READY = b"R\0\0\0\x08\0\0\0\0" + b"S" + struct.pack("!i", 8) + b"a\0b\0" + b"Z\0\0\0\x05I"
PASSWORD = b"R\0\0\0\x08\0\0\0\x0a"


def error(code: str, origin: str = "") -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0Mcould not\0F{origin}\0".encode() + b"\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


@asynccontextmanager
async def server(folder: Path, talk: Talk) -> AsyncIterator[Probe]:
    """A probe of somebody who talks like that."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = struct.unpack("!i", await reader.readexactly(4))[0]
            assert b"matriarch-probe" in await reader.readexactly(length - 4)
            await talk(reader, writer)
        finally:
            writer.close()

    place = Place("demo-0", "demo", folder, folder, folder, folder, 5432)
    listener = await asyncio.start_unix_server(connected, str(folder / ".s.PGSQL.5432"))
    probe = Probe(place, "postgres")
    try:
        yield probe
    finally:
        probe.forget()
        listener.close()
        await asyncio.sleep(0)


def says(*words: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for word in words:
            writer.write(word)
            await writer.drain()
            if word == READY:
                await reader.read(1000)

    return talk


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read(1000)


async def hangs_in_a_commit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(READY)
    assert b"pg_logical_emit_message" in await reader.read(1000)
    await reader.read(1000)


async def learn(probe: Probe, seconds: float = 0.0, *, stands_still: bool = False) -> tuple[float | None, str]:
    """What is known after the first attempt, or, of one that does not end, after so many seconds of it."""
    probe.look(1, suspicious=False, stands_still=stands_still)
    assert probe._task is not None
    await asyncio.wait({probe._task}, timeout=seconds or 5.0)
    return probe.look(1, suspicious=False, stands_still=stands_still)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", 0.05)


async def test_who_takes_a_session_is_usable(tmp_path: Path) -> None:
    async with server(tmp_path, says(READY)) as probe:
        assert await learn(probe) == (None, "")


@pytest.mark.parametrize("code", ["53300", "57P03", "57P01", "28000", "28P01", "3D000", "42501", ""])
async def test_who_refuses_is_alive(tmp_path: Path, code: str) -> None:
    async with server(tmp_path, says(error(code, "postinit.c"))) as probe:
        assert await learn(probe) == (None, "")


async def test_who_wants_a_password_or_hangs_up_proves_nothing(tmp_path: Path) -> None:
    for words in ((PASSWORD,), (), (b"nonsense, and much of it",)):
        (tmp_path / str(len(words[0]) if words else 0)).mkdir()
        async with server(tmp_path / str(len(words[0]) if words else 0), says(*words)) as probe:
            assert await learn(probe) == (None, "")


@pytest.mark.parametrize(("code", "origin"), [("58030", ""), ("53100", ""), ("XX000", ""), ("42501", "relmapper.c")])
async def test_a_server_without_its_files_is_of_no_use(tmp_path: Path, code: str, origin: str) -> None:
    async with server(tmp_path, says(error(code, origin))) as probe:
        bad_for, why = await learn(probe)
        assert bad_for is not None
        assert why == f"{code} could not"


async def test_silence_counts_as_long_as_it_lasts(tmp_path: Path) -> None:
    async with server(tmp_path, hangs) as probe:
        bad_for, why = await learn(probe, 0.4)
        assert bad_for is not None and 0.1 < bad_for < 3.0
        assert why == "no answer to a new session"


async def test_a_commit_is_tried_only_when_the_log_stands_still(tmp_path: Path) -> None:
    async with server(tmp_path, hangs_in_a_commit) as probe:
        bad_for, why = await learn(probe, 0.4, stands_still=True)
        assert bad_for is not None
        assert why == "a commit does not end"
    (tmp_path / "b").mkdir()
    async with server(tmp_path / "b", hangs_in_a_commit) as probe:
        assert await learn(probe) == (None, "")


async def test_another_postmaster_begins_anew(tmp_path: Path) -> None:
    async with server(tmp_path, hangs) as probe:
        assert (await learn(probe, 0.4))[0] is not None
        assert probe.look(2, suspicious=False, stands_still=False) == (None, "")


async def test_an_agent_that_stood_still_has_learnt_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(tmp_path, hangs) as probe:
        probe.look(1, suspicious=False, stands_still=False)
        await asyncio.sleep(0.03)
        real = kernel.now
        monkeypatch.setattr(kernel, "now", lambda: real() + 100.0)
        await asyncio.sleep(0.1)
        bad_for, _ = probe.look(1, suspicious=False, stands_still=False)
        assert bad_for is not None and bad_for < 4.0


def test_a_log_stands_still_when_it_has_something_to_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("demo-0", "demo", tmp_path, tmp_path, tmp_path, tmp_path, 5432)
    probe, moment = Probe(place, "postgres"), 100.0
    monkeypatch.setattr(kernel, "now", lambda: moment)
    assert not probe.still(10, 10)
    assert not probe.still(20, 10)
    moment = 103.0
    assert probe.still(20, 10)
    assert not probe.still(20, 15)
    assert not probe.still(None, None)
    moment = 110.0
    assert not probe.still(20, 20)
