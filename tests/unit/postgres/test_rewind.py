"""A rewind that is broken off: the data is good for something as long as pg_rewind has not begun to write."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from matriarch.config.files import Source
from matriarch.ha.view import ControlData, Upstream
from matriarch.words.errors import ProgramFailed
from matriarch_agent.init.client import PostmasterStatus
from matriarch_agent.postgres import local, past, rewind
from matriarch_agent.postgres.controldata import ControlFile
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.local import LocalPostgres
from matriarch_agent.postgres.place import Place

CONTROL = ControlData("shut down", "7", 1, 100, 200, was_primary=True)
DIVERGED = "pg_rewind: servers diverged at WAL location 0/64 on timeline 1"
WRITING = "pg_rewind: rewinding from last common checkpoint at 0/28 on timeline 1"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A stopped member with clean data; programs are looked for beside it."""

    async def control(*_: object) -> ControlFile:
        return ControlFile(CONTROL, {}, 1 << 24)

    for module in (rewind, local):
        monkeypatch.setattr(module, "read_control", control)
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "secrets" / "replication").mkdir(parents=True)
    (tmp_path / "secrets" / "replication" / "password").write_text("secret")
    return Place("demo-0", "demo", tmp_path, tmp_path, tmp_path / "secrets", tmp_path)


def says(place: Place, *lines: str, then: str) -> None:
    """What pg_rewind is to print and do."""
    program = place.programs / "pg_rewind"
    program.write_text(
        "#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in lines) + f"touch '{place.run}/said'\n{then}\n"
    )
    program.chmod(0o755)


async def broken_off(place: Place) -> DataDirectory:
    """Begin a rewind, and cancel it once all was said."""

    class Init:
        async def status(self) -> PostmasterStatus:
            return PostmasterStatus(None, False, None, 0, None, terminating=False)

    init: Any = Init()
    postgres = LocalPostgres(place, init, lambda event, **facts: None)
    task = asyncio.create_task(postgres.rewind(Upstream("demo-1", "127.0.0.1")))
    async with asyncio.timeout(10):
        while True:
            if "said" in os.listdir(place.run):
                break
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return DataDirectory(place)


async def test_the_data_is_kept_when_a_rewind_is_cancelled_before_it_writes(place: Place) -> None:
    says(place, DIVERGED, then="sleep 987")
    directory = await broken_off(place)
    assert not directory.half_rewound and not past.unproven(place, CONTROL)


async def test_the_data_is_a_mixture_when_a_rewind_is_cancelled_after_that(place: Place) -> None:
    says(
        place,
        DIVERGED,
        WRITING,
        *("progress" for _ in range(3)),
        then="head -c 1000000 /dev/zero | tr '\\0' x >&2; sleep 987",
    )
    directory = await broken_off(place)
    assert directory.half_rewound and past.unproven(place, CONTROL)


@pytest.mark.parametrize(("line", "mixture"), [("connection failed", False), (WRITING, True)])
async def test_so_it_is_when_a_rewind_fails(place: Place, line: str, mixture: bool) -> None:
    says(place, line, then="exit 1")
    directory = DataDirectory(place)
    with pytest.raises(ProgramFailed, match="status 1"):
        await rewind.rewind(place, directory, Source("demo-1", "127.0.0.1", 5432, "replicator", "", None))
    assert directory.half_rewound is mixture
