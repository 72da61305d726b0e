"""Archiving in Postgres' place: the command line, the order, and what becomes of the marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from matriarch_agent.ports import Archived
from matriarch_agent.postgres.archive import Archive, substituted
from matriarch_agent.postgres.place import Place

SEGMENTS = [f"0000000100000000000000{number:02X}" for number in (3, 4, 5)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    status = tmp_path / "pgdata" / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    (tmp_path / "archive").mkdir()
    found = Place("demo-0", "demo", tmp_path, tmp_path, tmp_path, tmp_path)
    for name in (*SEGMENTS, "00000002.history"):
        (status.parent / name).write_text(name)
        (status / f"{name}.ready").touch()
    (status / "000000010000000000000002.done").touch()
    (status / "nonsense; rm x.ready").touch()
    return found


def configured(place: Place, command: str, mode: str = "on") -> None:
    quoted = command.replace("'", "''")
    (place.pgdata / "postgresql.conf").write_text(f"archive_command = '{quoted}'\narchive_mode = '{mode}'\n")


def an_archive(place: Place, *, runs: bool = False) -> Archive:
    async def runs_now() -> bool:
        return runs

    return Archive(place, runs_now)


def marks(place: Place, kind: str) -> list[str]:
    return sorted(path.stem for path in (place.pgdata / "pg_wal" / "archive_status").glob(f"0*.{kind}"))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("cp %p /archive/%f", "cp pg_wal/000000010000000000000003 /archive/000000010000000000000003"),
        ("date +%%s; cp '%p' x", "date +%s; cp 'pg_wal/000000010000000000000003' x"),
        ("echo %%p %x %", "echo %p %x %"),
    ],
)
def test_the_command_line_is_made_as_postgres_makes_it(command: str, line: str) -> None:
    assert substituted(command, SEGMENTS[0]) == line


async def test_everything_goes_in_order_and_is_marked(place: Place) -> None:
    configured(place, f"pwd >> {place.volume}/where; echo %f >> {place.volume}/order; cp %p {place.volume}/archive/%f")
    archived = an_archive(place)
    archived.look()
    assert archived.waiting == 4
    assert await archived.offer(60.0) == Archived(4, 0)
    assert (place.volume / "order").read_text().split() == ["00000002.history", *SEGMENTS]
    assert set((place.volume / "where").read_text().split()) == {str(place.pgdata)}
    assert marks(place, "ready") == [] and len(marks(place, "done")) == 5
    assert (place.volume / "archive" / SEGMENTS[2]).read_text() == SEGMENTS[2]
    archived.look()
    assert archived.waiting == 0


async def test_the_first_failure_ends_it(place: Place) -> None:
    configured(place, f"[ %f != {SEGMENTS[1]} ] || {{ echo 'no route to the archive' >&2; false; }}")
    found = await an_archive(place).offer(60.0)
    assert (found.done, found.left) == (2, 2)
    assert SEGMENTS[1] in found.complaint and "no route to the archive" in found.complaint
    assert marks(place, "ready") == SEGMENTS[1:]


async def test_a_command_that_hangs_is_ended_with_its_children(place: Place) -> None:
    configured(place, "sleep 1000 & wait")
    found = await an_archive(place).offer(0.3)
    assert (found.done, found.left) == (0, 4)
    assert "a part of the file" in found.complaint and "longer than" in found.complaint
    configured(place, "true")
    assert await an_archive(place).offer(0.0) == Archived(0, 4, "00000002.history: the time for it is over")


async def test_a_mark_without_its_file_is_removed(place: Place) -> None:
    (place.pgdata / "pg_wal" / SEGMENTS[0]).unlink()
    configured(place, "test -f %p")
    assert await an_archive(place).offer(60.0) == Archived(4, 0)
    assert marks(place, "ready") == [] and SEGMENTS[0] not in marks(place, "done")


async def test_nothing_is_run_that_postgres_would_not_run(place: Place) -> None:
    hands_off = f"touch {place.volume}/ran"
    for mode in ("off", "false", "no", "0"):
        configured(place, hands_off, mode)
        assert (await an_archive(place).offer(60.0)).done == 0
    configured(place, "", "on")
    assert (await an_archive(place).offer(60.0)).left == 4
    (place.pgdata / "standby.signal").touch()
    configured(place, hands_off, "always")
    assert (await an_archive(place, runs=True).offer(60.0)).complaint == "the server archives by itself"
    (place.pgdata / "standby.signal").unlink()
    configured(place, hands_off)
    assert (await an_archive(place, runs=True).offer(60.0)).complaint == "the server is a primary again"
    assert not (place.volume / "ran").exists()
