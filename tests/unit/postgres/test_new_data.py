"""A new data directory: how long its programs may take, and what of it has to outlive a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matriarch.ha.commands import Commands, Method
from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import bootstrap, conf_files, first_server, programs
from matriarch_agent.postgres.conf_files import ConfFiles
from matriarch_agent.postgres.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for kind in ("superuser", "replication", "app"):
        folder = tmp_path / "secrets" / kind
        folder.mkdir(parents=True)
        (folder / "password").write_text("x")
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata" / "PG_VERSION").write_text("17")
    return Place("demo-0", "demo", tmp_path, tmp_path, tmp_path / "secrets", tmp_path)


def that_hangs(place: Place) -> None:
    server = Path(place.program("postgres"))
    server.write_text("#!/bin/sh\nexec sleep 1000\n")
    server.chmod(0o755)


async def test_data_that_a_method_brought_recover_for_as_long_as_they_need(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup with more WAL than five minutes' worth was restored again and again."""
    limits: list[float] = []

    async def run(argv: object, env: object, *, stdin: str, timeout: float) -> programs.Output:
        limits.append(timeout)
        return programs.Output(0, "", "")

    async def check(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(programs, "check", check)
    await bootstrap.build(place, place.pgdata, Commands(bootstrap=Method("restore", ("restore",))))
    assert limits[0] >= 3600.0 and len(limits) == 2


async def test_a_first_server_that_does_not_come_up_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log said no more than `TimeoutError`."""
    monkeypatch.setattr(first_server, "UP_WITHIN_S", 0.3)
    that_hangs(place)
    with pytest.raises(ProgramFailed, match=r"post_bootstrap is not up after .*PGSQL"):
        await first_server.call(place, place.pgdata, ("true",))


def test_what_is_left_of_alter_system_survives_a_power_cut(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other file is written anew before a start."""
    (place.pgdata / "postgresql.auto.conf").write_text("work_mem = '8MB'\nport = '1'\n")
    written: dict[str, tuple[str, bool]] = {}

    def replace_file(path: Path, text: str, *, durable: bool, **_: Any) -> None:
        written[path.name] = (text, durable)

    monkeypatch.setattr(conf_files, "replace_file", replace_file)
    ConfFiles(place).edit({})
    assert written["postgresql.auto.conf"] == ("work_mem = '8MB'\n", True)
    assert written["postgresql.conf"][1] is False
