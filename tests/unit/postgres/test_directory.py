"""Wherever a replacement is interrupted, one whole directory comes of it, and nothing foreign is lost."""

import asyncio
import os
import shutil
import threading
from pathlib import Path

import pytest

from matriarch.ha.view import ControlData
from matriarch.words.errors import ProgramFailed
from matriarch_agent.postgres import directory as under_test
from matriarch_agent.postgres import past
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_at(tmp_path, "pgdata")


def place_at(volume: Path, data: str) -> Place:
    (volume / ".matriarch.lock").touch()
    return Place("demo-0", "demo", volume, volume, volume, volume, data=data)


def fill(folder: Path, content: str) -> None:
    (folder / "global").mkdir(parents=True)
    (folder / "PG_VERSION").write_text(content)


def content(place: Place) -> str | None:
    path = place.pgdata / "PG_VERSION"
    return path.read_text() if path.exists() else None


def test_states(place: Place) -> None:
    directory = DataDirectory(place)
    assert directory.state() == "empty"
    place.pgdata.mkdir()
    assert directory.state() == "empty"
    (place.pgdata / "something").touch()
    assert directory.state() == "unknown", "neither ours nor nothing"
    (place.pgdata / "something").unlink()
    fill(place.pgdata, "1")
    assert directory.state() == "present"
    (place.volume / ".matriarch.lock").unlink()
    assert directory.state() == "unknown", "not the volume that init locked"


async def test_the_directory_of_another_agent_may_lie_deeper(tmp_path: Path) -> None:
    place = place_at(tmp_path, "pgroot/data")
    directory = DataDirectory(place)
    assert directory.state() == "empty", "the folder that it lies in is not there yet"
    fill(await directory.begin(), "new")
    assert directory.state() == "empty"
    await directory.finish()
    assert (directory.state(), content(place)) == ("present", "new")
    assert sorted(os.listdir(tmp_path)) == [".matriarch.lock", "pgroot"] and os.listdir(tmp_path / "pgroot") == ["data"]
    os.rename(place.pgdata, tmp_path / "pgroot" / "data.old")
    assert directory.state() == "unknown", "it was not this agent that put it aside"


def test_unreadable_is_unknown(place: Place) -> None:
    place.pgdata.write_text("a file")
    assert DataDirectory(place).state() == "unknown"


async def test_building_is_undone(place: Place) -> None:
    fill(place.pgdata, "old")
    directory = DataDirectory(place)
    fill(await directory.begin(), "new")
    again = DataDirectory(place)
    assert again.state() == "present"
    await again.tidy()
    assert content(place) == "old" and sorted(os.listdir(place.volume)) == [".matriarch.lock", "pgdata"]


@pytest.mark.parametrize("had_old", [True, False])
@pytest.mark.parametrize("interrupted_after", ["note", "away", "in place", "removed"])
async def test_complete_is_finished_from_any_point(place: Place, interrupted_after: str, had_old: bool) -> None:
    if had_old:
        fill(place.pgdata, "old")
    directory = DataDirectory(place)
    fill(await directory.begin(), "new")
    directory._note("complete")
    directory.note_rewind(True)
    if interrupted_after != "note" and had_old:
        os.rename(place.pgdata, place.volume / "pgdata.old")
    if interrupted_after in ("in place", "removed"):
        os.rename(place.volume / "pgdata.new", place.pgdata)
    if interrupted_after == "removed" and had_old:
        (place.volume / "pgdata.old" / "PG_VERSION").unlink()
    again = DataDirectory(place)
    assert again.state() == "present"
    await again.tidy()
    assert content(place) == "new" and again.state() == "present" and not again.half_rewound
    assert sorted(os.listdir(place.volume)) == [".matriarch.lock", "pgdata"]


async def test_what_is_not_ours_is_not_touched(place: Place) -> None:
    directory = DataDirectory(place)
    fill(place.volume / "pgdata.old", "a person's copy")
    assert directory.state() == "unknown"
    with pytest.raises(ProgramFailed, match="in the way"):
        await directory.begin()
    assert (place.volume / "pgdata.old" / "PG_VERSION").read_text() == "a person's copy"


async def test_a_torn_journal_counts_as_building(place: Place) -> None:
    fill(place.pgdata, "old")
    (place.volume / ".matriarch.replacing").write_text('{"st')
    directory = DataDirectory(place)
    await directory.tidy()
    assert content(place) == "old" and not directory.untidy


def test_notes_about_the_past_name_the_system(place: Place) -> None:
    mine = ControlData("shut down", "1", 3, 0, was_primary=True)
    as_replica = ControlData("shut down in recovery", "1", 3, 0)
    assert past.led_timeline(place, as_replica) is None
    past.note_led(place, mine)
    assert past.led_timeline(place, as_replica) == 3
    assert past.led_timeline(place, ControlData("shut down in recovery", "2", 3, 0)) is None
    past.forget_led(place)
    assert past.led_timeline(place, as_replica) is None
    past.note_unborn(place, "1")
    assert past.unborn(place, mine)
    assert not past.unborn(place, ControlData("shut down", "2", 1, 0))
    past.note_born(place)
    assert not past.unborn(place, mine)


async def test_what_is_being_removed_is_not_gone_on_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files vanished from under the program that went on with it, and the rest was put in place as a copy."""
    going, gone = threading.Event(), threading.Event()

    def slowly(path: Path) -> None:
        going.set()
        gone.wait(10)
        shutil.rmtree(path, ignore_errors=True)

    directory = DataDirectory(place)
    fill(await directory.begin(), "an attempt that was cancelled")
    monkeypatch.setattr(under_test, "_remove", slowly)
    abandoning = asyncio.create_task(directory.abandon())
    await asyncio.to_thread(going.wait)
    abandoning.cancel()
    await asyncio.wait({abandoning})
    beginning = asyncio.create_task(directory.begin(keep=True))
    done, _ = await asyncio.wait({beginning}, timeout=0.1)
    assert not done
    gone.set()
    assert not (await beginning).exists() and directory.untidy
    fill(place.volume / "pgdata.new", "a whole one")
    assert await directory.begin(keep=True) == place.volume / "pgdata.new"
    await directory.finish()
    assert content(place) == "a whole one"
