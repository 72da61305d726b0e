"""The interface of a cluster provider.

`up` is idempotent and leaves a cluster whose pod and Service addresses this machine reaches; `env` is what kubectl and
helm need in their environment. Faults that a provider cannot inject are not in `faults`; asking for one all the same
raises FaultUnavailable.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol


class Fault(enum.Enum):
    """What can be done to a cluster from outside it."""

    PARTITION = "partition"
    API_PAUSE = "api-pause"
    CONTAINER_KILL = "container-kill"
    NODE_EXEC = "node-exec"
    ONE_WAY_PARTITION = "one-way-partition"
    PACKET_LOSS = "packet-loss"
    API_DELAY = "api-delay"
    CONTAINER_PAUSE = "container-pause"
    SIZED_VOLUMES = "sized-volumes"


class FaultUnavailable(Exception):
    """This provider cannot inject that fault."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image to build: where its Dockerfile is, which target of it, and what it is called in manifests."""

    tag: str
    dockerfile: Path
    context: Path
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)


class ClusterProvider(Protocol):
    """A cluster and what can be done to it. Every method raises `e2e.shell.CommandFailed` when its tool fails."""

    name: str
    faults: frozenset[Fault]
    at_once: int
    """How many clusters of its kind this machine can run side by side, each with tests of its own."""

    def up(self) -> None:
        """Have a running cluster. Idempotent."""

    def down(self) -> None:
        """Remove what `up` made."""

    @property
    def env(self) -> Mapping[str, str]:
        """KUBECONFIG and PATH for kubectl and helm. Valid after `up`."""

    def build(self, image: Image, archive: Path) -> None:
        """Build an image into a docker-archive file."""

    def load(self, archives: Sequence[Path]) -> None:
        """Put images on every node."""

    def partition(self, node: str) -> None:
        """Cut a node from everything; what runs on it goes on."""

    def partition_one_way(self, node: str, direction: Literal["in", "out"]) -> None:
        """Lose all that comes in to a node, or all that goes out of it; the other direction works."""

    def lose_packets(self, node: str, percent: int) -> None:
        """Lose so many of a hundred of a node's packets at random, in either direction."""

    def heal(self, node: str) -> None:
        """Undo `partition`, `partition_one_way` and `lose_packets`."""

    def api_pause(self) -> None:
        """Let the API server hang: connections stay open and nothing answers."""

    def api_resume(self) -> None:
        """Undo `api_pause`."""

    def api_delay(self, milliseconds: int) -> None:
        """Let every answer of the API server come that much later; 0 ends it."""

    def kill_container(self, node: str, container_id: str) -> None:
        """SIGKILL to a container's first process. `container_id` without its `containerd://` prefix."""

    def pause_container(self, node: str, container_id: str) -> None:
        """Freeze every process of a container at one instant. The id as for `kill_container`."""

    def resume_container(self, node: str, container_id: str) -> None:
        """Undo `pause_container`."""

    def sized_storage_class(self) -> str:
        """A storage class whose volumes are full when the claim's size is used up."""

    def node_command(self, node: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs a program of this machine in the node's network namespace."""
