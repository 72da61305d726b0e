"""Starting a component in its namespaces and its control group, and finding it again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lk import cgroups
from lk.registry import NETNS_FOLDER
from lk.shell import wait_until

_FEWER_COLLECTIONS = {"GOGC": "300"}
"""Nearly all of this are Go programs, on a machine with more memory than processor to spare: a heap may grow to four
times of what it holds before it is looked through. The variable's own value counts where there is one."""
_ENTER_GROUP = 'echo $$ >"$1" && shift && exec "$@"'


def in_network(namespace: str) -> list[str]:
    """The words before a command that put it into a network namespace."""
    return ["nsenter", f"--net={NETNS_FOLDER / namespace}", "--"]


def in_machine(pid: int) -> list[str]:
    """The words before a command that put it into the namespaces (mounts, network, host name) of process `pid`."""
    return ["nsenter", "--target", str(pid), "--mount", "--net", "--uts", "--"]


def start(group: str, command: Sequence[str | Path], *, log: Path, folder: Path) -> None:
    """Start a long-running program that belongs to control group `group`; its output is appended to `log`.

    Returns once it is in its group, so that from then on `running` and `cgroups.kill` meet it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["sh", "-c", _ENTER_GROUP, "sh", str(cgroups.entry(group)), *(str(word) for word in command)]
    with log.open("ab") as output:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_FEWER_COLLECTIONS | os.environ,
            start_new_session=True,
        )
    wait_until(
        f"{command[0]} in its group", lambda: running(group) or child.poll() is not None, seconds=10, every=0.005
    )


def running(group: str) -> bool:
    """Whether a process of that group is alive."""
    return bool(cgroups.processes(group))
