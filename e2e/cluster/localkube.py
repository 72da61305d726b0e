"""localkube: a real cluster on this machine without a container engine (see e2e/localkube/README.md)."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from e2e.cluster.provider import Fault, Image
from e2e.shell import ROOT, CommandFailed, run, run_aloud

TOOL = str(ROOT / "e2e" / "localkube" / "localkube")


class LocalKube:
    """Needs root on Linux. `up` builds what is not cached yet, which takes minutes the first time."""

    name = "localkube"
    faults = frozenset(Fault)
    at_once = 2

    def __init__(self, instance: str = "localkube") -> None:
        self.instance = instance
        self._tool = [TOOL, "--name", instance]

    def up(self) -> None:
        run_aloud([*self._tool, "up", "--nodes", "3"], timeout=1500)

    def down(self) -> None:
        run_aloud([*self._tool, "down"], timeout=180)

    @functools.cached_property
    def env(self) -> Mapping[str, str]:
        return parse_exports(run([*self._tool, "env"]))

    def build(self, image: Image, archive: Path) -> None:
        argv = [*self._tool, "build", "-f", str(image.dockerfile), "--tag", image.tag, "-o", str(archive)]
        if image.target is not None:
            argv += ["--target", image.target]
        for key, value in sorted(image.build_args.items()):
            argv += ["--build-arg", f"{key}={value}"]
        run_aloud([*argv, str(image.context)], timeout=1500)

    def load(self, archives: Sequence[Path]) -> None:
        run_aloud([*self._tool, "load", *map(str, archives)], timeout=600)

    def partition(self, node: str) -> None:
        run([*self._tool, "partition", node])

    def partition_one_way(self, node: str, direction: Literal["in", "out"]) -> None:
        run([*self._tool, "partition", "--one-way", direction, node])

    def lose_packets(self, node: str, percent: int) -> None:
        run([*self._tool, "loss", node, str(percent)])

    def heal(self, node: str) -> None:
        run([*self._tool, "heal", node])

    def api_pause(self) -> None:
        run([*self._tool, "api", "pause"])

    def api_resume(self) -> None:
        run([*self._tool, "api", "resume"])

    def api_delay(self, milliseconds: int) -> None:
        run([*self._tool, "api", "delay", str(milliseconds)])

    def kill_container(self, node: str, container_id: str) -> None:
        """The nodes share this machine's process table, so the container's first process can be met here."""
        os.kill(first_process_of(container_id), signal.SIGKILL)

    def pause_container(self, node: str, container_id: str) -> None:
        run([*self._tool, "container", "pause", node, container_id])

    def resume_container(self, node: str, container_id: str) -> None:
        run([*self._tool, "container", "resume", node, container_id])

    def sized_storage_class(self) -> str:
        return "localkube-sized"

    def node_command(self, node: str, argv: Sequence[str]) -> list[str]:
        return [*self._tool, "exec-node", node, *argv]


def parse_exports(text: str) -> dict[str, str]:
    """`export NAME=VALUE` lines, with $PATH expanded, as a mapping."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("export ") and "=" in line:
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = value.strip("\"'").replace("$PATH", os.environ.get("PATH", ""))
    return found


def first_process_of(container_id: str) -> int:
    """The host's pid of a container's pid 1. Raises CommandFailed when there is none."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if container_id not in (entry / "cgroup").read_text():
                continue
            status = (entry / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        if len(pids) > 1 and pids[-1] == "1":
            return int(pids[0])
    raise CommandFailed(f"no process of container {container_id[:12]} on this machine")
