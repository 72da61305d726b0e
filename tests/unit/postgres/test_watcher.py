"""Observing never raises, whatever the volume does: what cannot be read is unknown."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matriarch_agent.init.client import PostmasterStatus
from matriarch_agent.postgres.local import LocalPostgres
from matriarch_agent.postgres.place import Place


class Init:
    """Answers that there is, or is not, a postmaster."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid

    async def status(self) -> PostmasterStatus:
        return PostmasterStatus(self._pid, self._pid is not None, 0.0, None, None, terminating=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A data directory beside the volume's lock."""
    (tmp_path / ".matriarch.lock").touch()
    (tmp_path / "pgdata" / "global").mkdir(parents=True)
    (tmp_path / "pgdata" / "PG_VERSION").touch()
    (tmp_path / "pgdata" / "standby.signal").touch()
    return Place("demo-0", "demo", tmp_path, tmp_path, tmp_path, tmp_path)


def out_of_reach(monkeypatch: pytest.MonkeyPatch, below: Path, number: int) -> None:
    """Every look at something below a folder, or at a folder itself, fails with an error number."""

    def failing(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def look(path: Any = ".", *more: Any, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(below):
                raise OSError(number, os.strerror(number), os.fspath(path))
            return real(path, *more, **options)

        return look

    for name in ("stat", "lstat", "listdir"):
        monkeypatch.setattr(os, name, failing(name))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("what", ["pgdata", ""], ids=["the data directory", "the volume"])
async def test_a_volume_that_cannot_be_read_is_unknown(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    init: Any = Init()
    postgres = LocalPostgres(place, init, lambda event, **facts: None)
    assert (await postgres.observe()).data == "present"
    out_of_reach(monkeypatch, place.volume / what, number)
    async with asyncio.timeout(5):
        view = await postgres.observe()
    assert (view.data, view.process, view.in_recovery) == ("unknown", "stopped", None)


async def test_an_unreadable_journal_does_not_end_the_observer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it count as one of a copy that has only begun, whose directory would be removed."""
    init: Any = Init()
    postgres = LocalPostgres(place, init, lambda event, **facts: None)
    await postgres._directory.begin()
    new = place.volume / "pgdata.new"
    new.mkdir()
    read = Path.read_text

    def refused(path: Path, *more: Any, **options: Any) -> str:
        if path.name == ".matriarch.replacing":
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
        return read(path, *more, **options)

    monkeypatch.setattr(Path, "read_text", refused)
    assert (await postgres.observe()).data == "unknown"
    assert new.exists()


async def test_a_server_that_starts_is_told_with_its_age(place: Place) -> None:
    """An agent that was started meanwhile did not see it begin; init did."""
    init: Any = Init(pid=4711)
    postgres = LocalPostgres(place, init, lambda event, **facts: None)
    view = await postgres.observe()
    assert (view.process, view.starting_since) == ("starting", 0.0)
    status = ["4711", "", "", "", "", "", "", "ready"]
    (place.pgdata / "postmaster.pid").write_text("\n".join(status))
    ready = await postgres.observe()
    assert (ready.process, ready.starting_since) == ("running", None)
    (place.pgdata / "postmaster.pid").write_text("\n".join([*status[:-1], "starting"]))
    again = await postgres.observe()
    assert (again.process, again.starting_since) == ("starting", ready.observed_at)
    await postgres.close()


async def test_a_server_whose_file_cannot_be_read_is_not_one_that_starts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run on without a volume. Whether it is of use is found out by sessions, and not waited for."""
    init: Any = Init(pid=4711)
    postgres = LocalPostgres(place, init, lambda event, **facts: None)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "damaged")))
    view = await postgres.observe()
    assert (view.process, view.lsn) == ("running", None)
    assert postgres._watcher._probe._task is not None
    await postgres.close()
