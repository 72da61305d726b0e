"""The cluster that MATRIARCH_KUBECONFIG names. It is used as it is and never removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from e2e.cluster.provider import Fault, FaultUnavailable, Image
from e2e.shell import CommandFailed, run


class ExistingCluster:
    """Images must be pullable by its nodes, or MATRIARCH_LOAD_COMMAND must name a program that loads an archive."""

    name = "existing"
    faults: frozenset[Fault] = frozenset()
    at_once = 1

    def __init__(self, kubeconfig: str) -> None:
        self._kubeconfig = kubeconfig

    def up(self) -> None:
        """Check that it answers and that the tools are there."""
        for tool in ("kubectl", "helm"):
            if shutil.which(tool) is None:
                raise CommandFailed(
                    f"{tool} is not on PATH: install it, or unset MATRIARCH_KUBECONFIG to use localkube"
                )
        run(["kubectl", "get", "--raw", "/readyz"], env=self.env, timeout=20)

    def down(self) -> None:
        """Nothing: it is not ours."""

    @property
    def env(self) -> Mapping[str, str]:
        return {"KUBECONFIG": self._kubeconfig}

    def build(self, image: Image, archive: Path) -> None:
        if self._load_command() is not None:
            docker_build(image, archive)

    def load(self, archives: Sequence[Path]) -> None:
        command = self._load_command()
        for archive in archives:
            if command is not None and archive.exists():
                run([command, str(archive)], timeout=600)

    @staticmethod
    def _load_command() -> str | None:
        return os.environ.get("MATRIARCH_LOAD_COMMAND")

    def partition(self, node: str) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to cut")

    def partition_one_way(self, node: str, direction: Literal["in", "out"]) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to cut")

    def lose_packets(self, node: str, percent: int) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to cut")

    def heal(self, node: str) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to cut")

    def api_pause(self) -> None:
        raise FaultUnavailable("an existing cluster's API server is not ours to pause")

    def api_resume(self) -> None:
        raise FaultUnavailable("an existing cluster's API server is not ours to pause")

    def api_delay(self, milliseconds: int) -> None:
        raise FaultUnavailable("an existing cluster's API server is not ours to slow down")

    def kill_container(self, node: str, container_id: str) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to enter")

    def pause_container(self, node: str, container_id: str) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to enter")

    def resume_container(self, node: str, container_id: str) -> None:
        raise FaultUnavailable("an existing cluster's nodes are not ours to enter")

    def sized_storage_class(self) -> str:
        raise FaultUnavailable("which storage class of an existing cluster enforces sizes is not known")

    def node_command(self, node: str, argv: Sequence[str]) -> list[str]:
        raise FaultUnavailable("an existing cluster's nodes are not ours to enter")


def docker_build(image: Image, archive: Path) -> None:
    """`docker build` and `docker save`; shared by the providers that have a Docker engine."""
    argv = ["docker", "build", "-t", image.tag, "-f", str(image.dockerfile)]
    if image.target is not None:
        argv += ["--target", image.target]
    for key, value in sorted(image.build_args.items()):
        argv += ["--build-arg", f"{key}={value}"]
    run([*argv, str(image.context)], timeout=1800)
    run(["docker", "save", "-o", str(archive), image.tag], timeout=600)
