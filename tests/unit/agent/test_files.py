"""Files of our own: whole or not at all, and what the system refuses is a failure like any other."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from matriarch.ha.settings import ClusterSettings
from matriarch.words.errors import PostgresError
from matriarch.words.sync_names import NOBODY, every
from matriarch_agent.files import file_problem, remove_file, replace_file, there
from matriarch_agent.postgres import past
from matriarch_agent.postgres.conf_files import ConfFiles
from matriarch_agent.postgres.credentials import write_passfile
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.place import Place

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A member's folders, with a data directory that tells its version."""
    for folder in ("volume/pgdata", "run", "secrets/replication"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "volume" / "pgdata" / "PG_VERSION").write_text("17\n")
    (tmp_path / "secrets" / "replication" / "password").write_text("secret")
    return Place("demo-0", "demo", tmp_path / "volume", tmp_path / "run", tmp_path / "secrets", tmp_path)


def fill_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no file grows: what is written beside anything finds no block."""
    write = os.write

    def refused(descriptor: int, data: bytes) -> int:
        if len(data) > os.fstat(descriptor).st_blocks * 512:
            raise FULL
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refused)


def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    for text in ("one", "two \udcff"):
        replace_file(path, text, durable=True)
        assert path.read_text(errors="surrogateescape") == text and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["notes"] and there(path)
    remove_file(path, durable=True)
    remove_file(path, durable=True)
    assert not there(path) and not there(path / "below")


def test_a_full_volume_is_named_and_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes"
    path.write_text("old")
    fill_up(monkeypatch)
    with pytest.raises(PostgresError, match="notes: No space left on device"):
        replace_file(path, "new", durable=True)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["notes"]


def test_a_look_that_fails_does_not_say_that_nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))

    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(PostgresError, match="Permission denied"):
        there(tmp_path / "notes")


def test_the_synchronous_standbys_can_be_changed_on_a_full_volume(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that waits for a lost standby would else wait until somebody makes room."""
    files, path = ConfFiles(place), place.pgdata / "postgresql.conf"
    files.edit({**files.synchronous(every(("demo-1", "demo-2"))), "cluster_name": "'demo'"})
    before = path.stat().st_ino
    fill_up(monkeypatch)
    files.edit(files.synchronous(NOBODY))
    assert files.member_settings()["synchronous_standby_names"] == "" and path.stat().st_ino == before
    assert "cluster_name" in path.read_text() and not path.read_text().endswith("\n\n")
    with pytest.raises(PostgresError, match=r"postgresql\.conf: No space left on device"):
        files.edit({"search_path": "x" * 100_000})
    assert files.member_settings()["synchronous_standby_names"] == ""


async def test_whoever_writes_says_so_when_the_volume_is_full(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, files = DataDirectory(place), ConfFiles(place)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(FULL))
    fill_up(monkeypatch)
    for write in (
        lambda: past.note_unborn(place, "1"),
        lambda: past.note_rewound(place, "1"),
        lambda: directory.note_rewind(True),
        lambda: write_passfile(place),
    ):
        with pytest.raises(PostgresError, match="No space left"):
            write()
    for wait in (lambda: directory.begin(), lambda: directory.finish(), lambda: files.write(ClusterSettings())):
        with pytest.raises(PostgresError, match="No space left"):
            await wait()
    assert not directory.half_rewound and not directory.untidy


def test_a_problem_is_told_with_its_path() -> None:
    assert str(file_problem(OSError(errno.EIO, "Input/output error", "/a"))) == "/a: Input/output error"
    assert str(file_problem(OSError(errno.EIO, "Input/output error"), Path("/b"))) == "/b: Input/output error"
    assert str(file_problem(TimeoutError())) == "TimeoutError"
