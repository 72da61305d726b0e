"""Which instances this machine has, and the index that sets each one's addresses."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lk.addresses import MAXIMUM_INDEX, AddressPlan, overlaps
from lk.settings import cache_folder, state_folder
from lk.shell import LocalkubeError, run

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
NETNS_FOLDER = Path("/run/netns")


@dataclass(frozen=True)
class Entry:
    """What the registry keeps of an instance."""

    index: int
    nodes: int


def check_name(name: str) -> str:
    """Return `name` when it can be part of a path and a log line; LocalkubeError otherwise."""
    if not _NAME.fullmatch(name):
        raise LocalkubeError(f"--name {name!r}: use 1 to 20 of a-z, 0-9 and '-', starting with a letter")
    return name


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock called `name`, waiting for another localkube that has it. A dead holder's lock is free."""
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _file() -> Path:
    return state_folder() / "instances.json"


def read_all() -> dict[str, Entry]:
    """All known instances by name. A half-written file cannot occur: it is replaced in one step."""
    try:
        content = json.loads(_file().read_text())
    except FileNotFoundError:
        return {}
    return {name: Entry(**fields) for name, fields in content.items()}


def _write(entries: dict[str, Entry]) -> None:
    _file().parent.mkdir(parents=True, exist_ok=True)
    fresh = _file().with_suffix(".new")
    fresh.write_text(json.dumps({name: asdict(entry) for name, entry in sorted(entries.items())}, indent=1) + "\n")
    fresh.replace(_file())


def find(name: str) -> Entry | None:
    """The instance called `name`, if it is known."""
    return read_all().get(name)


def _networks_in_use() -> list[str]:
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout)
    return [route["dst"] for route in routes if route["dst"] not in ("default", "0.0.0.0/0")]


def _namespaces_in_use(prefix: str) -> bool:
    return NETNS_FOLDER.is_dir() and any(path.name.startswith(f"{prefix}-") for path in NETNS_FOLDER.iterdir())


def _free_index(entries: dict[str, Entry]) -> int:
    used = {entry.index for entry in entries.values()}
    networks = _networks_in_use()
    for index in range(MAXIMUM_INDEX + 1):
        plan = AddressPlan(index, 1)
        if index not in used and not overlaps(plan, networks) and not _namespaces_in_use(plan.prefix):
            return index
    raise LocalkubeError("every address range that localkube could use is taken on this machine (see `ip route`)")


def reserve(name: str, nodes: int) -> Entry:
    """Record that `name` has `nodes` nodes; it keeps its index, or gets the lowest one that nothing here uses."""
    with locked("registry"):
        entries = read_all()
        known = entries.get(name)
        entry = Entry(known.index if known else _free_index(entries), nodes)
        _write({**entries, name: entry})
        return entry


def release(name: str) -> bool:
    """Forget `name`; answers whether it was the last instance, with the state folder then removed."""
    with locked("registry"):
        entries = read_all()
        entries.pop(name, None)
        if entries:
            _write(entries)
            return False
        _file().unlink(missing_ok=True)
        if state_folder().is_dir() and not any(state_folder().iterdir()):
            state_folder().rmdir()
        return True
