"""Control groups: where a node's pods live, and how localkube knows which processes are its own.

Every program is started in a group of its own below `<instance>/<place>/<component>`, and the kubelet puts pods below
`<instance>/<node>/kubepods`. So the processes of a component, of a node or of the whole instance are always to be
found, whatever became of the program that started them, and no process id is ever kept in a file.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lk.shell import LocalkubeError

ROOT = Path("/sys/fs/cgroup")


def unified() -> bool:
    """Whether this machine has only cgroup v2."""
    return (ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if unified():
        return [ROOT]
    return [
        path
        for path in sorted(ROOT.iterdir())
        if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()
    ]


def _tracking() -> Path:
    """The hierarchy that tells which processes are ours; it must be able to freeze them."""
    tracking = ROOT if unified() else ROOT / "freezer"
    if not (tracking / "cgroup.procs").exists():
        raise LocalkubeError("localkube needs cgroup v2 or the v1 freezer, and /sys/fs/cgroup has neither")
    return tracking


def _enable_controllers(group: Path) -> None:
    for controller in (group / "cgroup.controllers").read_text().split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue  # a controller that this machine does not hand down is one the kubelet does without


def prepare(group: str) -> None:
    """Make the pods' parent group in every hierarchy; v1 cpusets start empty and must be filled before use."""
    for hierarchy in _hierarchies():
        path = hierarchy
        for part in Path(group).parts:
            parent, path = path, path / part
            if unified():
                _enable_controllers(parent)
            path.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not unified() and (path / name).exists() and not (path / name).read_text().strip():
                    (path / name).write_text((parent / name).read_text())
    if unified():
        _enable_controllers(ROOT / group)


def entry(group: str) -> Path:
    """The file to write a process id to, so that it and its children are tracked under `group`."""
    path = _tracking() / group
    path.mkdir(parents=True, exist_ok=True)
    return path / "cgroup.procs"


def processes(group: str) -> list[int]:
    """The process ids in `group` and everything below it."""
    found: list[int] = []
    for folder, _, files in os.walk(_tracking() / group):
        if "cgroup.procs" in files:
            try:
                found += [int(line) for line in (Path(folder) / "cgroup.procs").read_text().split()]
            except OSError:
                continue  # the group went away between the listing and the reading: it held nothing
    return found


def _set_frozen(group: str, frozen: bool) -> None:
    path = _tracking() / group
    if unified():
        (path / "cgroup.freeze").write_text("1" if frozen else "0")
    else:
        (path / "freezer.state").write_text("FROZEN" if frozen else "THAWED")


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill(group: str, *, seconds: float = 15.0) -> None:
    """End every process of `group` at one instant, as a power loss would: they are frozen first.

    LocalkubeError when one of them does not end within `seconds`.
    """
    if not (_tracking() / group).exists():
        return
    _set_frozen(group, True)
    for pid in processes(group):
        _send(pid, signal.SIGKILL)
    _set_frozen(group, False)
    deadline = time.monotonic() + seconds
    while left := processes(group):
        for pid in left:
            _send(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LocalkubeError(f"processes {left} of {group} do not end")
        time.sleep(0.02)


def remove(group: str) -> None:
    """Remove `group` and all groups below it from every hierarchy; they must hold no process any more."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / group, topdown=False):
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)  # a process that has just ended still counts for a moment
