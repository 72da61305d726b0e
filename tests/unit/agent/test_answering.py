"""A copy or a rewind does not wait for ever for a server that is frozen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from matriarch.config.files import Source
from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import answering
from matriarch_agent.postgres.answering import while_it_answers
from matriarch_agent.postgres.place import Place

SOURCE = Source("demo-0", "10.0.0.0", 5432, "replicator", "/run/pgpass")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(answering, "ASK_EVERY_S", 0.02)
    monkeypatch.setattr(answering, "SILENT_S", 1.0)
    return Place("demo-1", "demo", tmp_path, tmp_path, tmp_path, programs=tmp_path)


def isready(place: Place, script: str) -> None:
    program = Path(place.program("pg_isready"))
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


async def work(seconds: float, ended: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
        return "done"
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise


@pytest.mark.parametrize("status", [0, 1])
async def test_it_goes_on_while_the_source_says_anything(place: Place, status: int) -> None:
    isready(place, f"exit {status}")
    assert await while_it_answers(place, SOURCE, work(2.0, [])) == "done"


async def test_it_is_broken_off_when_the_source_is_silent(place: Place) -> None:
    isready(place, "exit 2")
    ended: list[str] = []
    with pytest.raises(ProgramFailed, match="demo-0 has not answered"):
        await while_it_answers(place, SOURCE, work(60, ended))
    assert ended == ["cancelled"]


async def test_one_answer_begins_the_patience_anew(place: Place, tmp_path: Path) -> None:
    isready(place, f"rm {tmp_path}/speaks 2>/dev/null || exit 2")
    running = asyncio.create_task(while_it_answers(place, SOURCE, work(2.0, [])))
    while not running.done():
        (tmp_path / "speaks").touch()
        await asyncio.sleep(0.1)
    assert await running == "done"


async def test_nothing_of_it_outlives_who_waited(place: Place) -> None:
    isready(place, "exit 0")
    ended: list[str] = []
    running = asyncio.create_task(while_it_answers(place, SOURCE, work(60, ended)))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["cancelled"]


async def test_a_failure_of_the_work_is_its_own(place: Place) -> None:
    async def fails() -> None:
        raise ProgramFailed("status 1")

    with pytest.raises(ProgramFailed, match="status 1"):
        await while_it_answers(place, SOURCE, fails())
