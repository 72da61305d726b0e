"""What has to be certain before a copy may take the place of the data that is there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matriarch.config.files import Source
from matriarch.ha.commands import Commands
from matriarch.ha.settings import settings_from
from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import basebackup, history, programs
from matriarch_agent.postgres import copying as under_test
from matriarch_agent.postgres.copying import Copy
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.place import Place

SOURCE = Source("demo-0", "10.1.2.3", 5432, "replicator", "/run/matriarch/pgpass")
OWN = settings_from({"postgresql": {"create_replica_methods": ["own"], "own": {"command": "own-copy"}}}).commands


class Programs:
    """Runs nothing, and notes what was to be run; `failing` fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.failing: str | None = None
        monkeypatch.setattr(programs, "check", self.check)
        monkeypatch.setattr(basebackup, "copy", self.copy)
        monkeypatch.setattr(under_test, "read_control", self.control)
        monkeypatch.setattr(history, "ask_history", self.asked)

    async def check(self, argv: list[str], environment: object, *, timeout: float | None = None) -> None:
        del environment, timeout
        words = [Path(argv[0]).name, *argv[1:]]
        self.ran.append(" ".join(word for word in words if word in ("own-copy", "initdb", "--sync-only", "-D")))
        if words[0] == self.failing:
            raise ProgramFailed(f"{words[0]} failed")
        if words[0] == "own-copy":
            (target,) = [word.partition("=")[2] for word in words if word.startswith("--datadir=")]
            self.fill(Path(target))

    async def copy(self, place: Place, source: Source, target: Path, options: tuple[str, ...] = ()) -> None:
        del place, source, options
        self.ran.append("pg_basebackup")
        self.fill(target)

    async def control(self, *where: object) -> Any:
        return SimpleNamespace(data=SimpleNamespace(sysid="7"))

    async def asked(self, *where: object) -> Any:
        return SimpleNamespace(sysid="7")

    def fill(self, target: Path) -> None:
        target.mkdir(exist_ok=True)
        (target / "PG_VERSION").write_text("17\n")


def copying(folder: Path, commands: Commands) -> Copy:
    place = Place("demo-1", "demo", folder, folder, folder, folder)
    return Copy(place, DataDirectory(place), commands, lambda *_, **__: None)


async def test_a_copy_by_a_program_of_the_settings_is_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that lost its power a moment later came back with neither the old data nor the new."""
    running = Programs(monkeypatch)
    assert await copying(tmp_path, OWN).make(SOURCE, remote=False) == "7"
    assert running.ran == ["own-copy", "initdb --sync-only -D"]
    running.ran.clear()
    assert await copying(tmp_path, Commands()).make(SOURCE, remote=False) == "7"
    assert running.ran == ["pg_basebackup"], "it syncs what it writes"


async def test_a_copy_that_cannot_be_brought_to_the_disk_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Programs(monkeypatch)
    running.failing = "initdb"
    with pytest.raises(ProgramFailed, match="initdb failed"):
        await copying(tmp_path, OWN).make(SOURCE, remote=False)


@pytest.mark.parametrize("source", [SOURCE, None], ids=["from a member", "from nobody"])
async def test_what_belonged_to_the_server_that_was_copied_goes(
    source: Source | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot that came along with a snapshot held WAL back without end, and a folder that all may read is no data
    directory to Postgres."""
    method = {"command": "own-copy", "no_leader": True}
    settings = settings_from({"postgresql": {"create_replica_methods": ["own"], "own": method}})
    running = Programs(monkeypatch)

    def fill(target: Path) -> None:
        (target / "pg_replslot" / "left_behind").mkdir(parents=True)
        (target / "postmaster.pid").write_text("1")
        (target / "PG_VERSION").write_text("17\n")
        target.chmod(0o755)

    monkeypatch.setattr(running, "fill", fill)
    await copying(tmp_path, settings.commands).make(source, remote=False)
    new = tmp_path / "pgdata.new"
    assert new.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in new.rglob("*")) == ["PG_VERSION", "pg_replslot"]
    assert running.ran == ["own-copy", "initdb --sync-only -D"]
