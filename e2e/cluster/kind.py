"""kind: Kubernetes nodes as Docker containers. Thin on purpose; it needs a Docker engine and the kind program."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from e2e.cluster.existing import docker_build
from e2e.cluster.provider import Fault, FaultUnavailable, Image
from e2e.shell import run

CLUSTER = "matriarch"
CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
- role: worker
- role: worker
"""
_HOOKS: dict[str, tuple[tuple[str, str], ...]] = {
    "in": (("INPUT", "-i"), ("FORWARD", "-i")),
    "out": (("OUTPUT", "-o"), ("FORWARD", "-o")),
}
_CHAIN = "MATRIARCH-FAULT"


def docker_engine_answers() -> bool:
    """Whether a Docker engine (not only its client) is there."""
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class KindCluster:
    """Three workers, so that members spread as in production."""

    name = "kind"
    faults = frozenset(Fault) - {Fault.API_DELAY, Fault.SIZED_VOLUMES}
    at_once = 1

    def __init__(self, state: Path) -> None:
        self._kubeconfig = state / "kind.kubeconfig"

    def up(self) -> None:
        """Create the cluster when it is missing, and routes to its pods and Services (as root, or through sudo)."""
        self._kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if CLUSTER not in run(["kind", "get", "clusters"]).split():
            run(
                ["kind", "create", "cluster", "--name", CLUSTER, "--config", "-", "--wait", "120s"],
                timeout=600,
                text_in=CONFIG,
            )
        self._kubeconfig.write_text(run(["kind", "get", "kubeconfig", "--name", CLUSTER]))
        rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
        for argv in route_commands(json.loads(run(["kubectl", "get", "nodes", "-o", "json"], env=self.env))):
            run([*rights, *argv])

    def down(self) -> None:
        run(["kind", "delete", "cluster", "--name", CLUSTER], timeout=120)
        self._kubeconfig.unlink(missing_ok=True)

    @property
    def env(self) -> Mapping[str, str]:
        return {"KUBECONFIG": str(self._kubeconfig)}

    def build(self, image: Image, archive: Path) -> None:
        docker_build(image, archive)

    def load(self, archives: Sequence[Path]) -> None:
        for archive in archives:
            run(["kind", "load", "image-archive", "--name", CLUSTER, str(archive)], timeout=600)

    def partition(self, node: str) -> None:
        self._drop(node, ("in", "out"))

    def partition_one_way(self, node: str, direction: Literal["in", "out"]) -> None:
        self._drop(node, (direction,))

    def lose_packets(self, node: str, percent: int) -> None:
        some = ("-m", "statistic", "--mode", "random", "--probability", str(percent / 100))
        self._drop(node, ("in", "out"), some)

    def heal(self, node: str) -> None:
        script = f"for place in {_places(_HOOKS)}; do iptables -w -D $place -j {_CHAIN}; done; iptables -w -F {_CHAIN}"
        run(["docker", "exec", node, "sh", "-c", f"{script}; true"])

    def _drop(self, node: str, directions: Sequence[str], which: Sequence[str] = ()) -> None:
        """Through a chain of our own, so that `heal` knows what is ours."""
        self.heal(node)
        script = (
            f"iptables -w -N {_CHAIN}; set -e; iptables -w -A {_CHAIN} {' '.join(which)} -j DROP; "
            f"for place in {_places(directions)}; do iptables -w -I $place -j {_CHAIN}; done"
        )
        run(["docker", "exec", node, "sh", "-c", script])

    def api_pause(self) -> None:
        run(["docker", "exec", f"{CLUSTER}-control-plane", "pkill", "-STOP", "-x", "kube-apiserver"])

    def api_resume(self) -> None:
        run(["docker", "exec", f"{CLUSTER}-control-plane", "pkill", "-CONT", "-x", "kube-apiserver"])

    def api_delay(self, milliseconds: int) -> None:
        raise FaultUnavailable("not every kernel under a Docker engine can delay packets")

    def kill_container(self, node: str, container_id: str) -> None:
        run(["docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", container_id])

    def pause_container(self, node: str, container_id: str) -> None:
        run(["docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "pause", container_id])

    def resume_container(self, node: str, container_id: str) -> None:
        run(["docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "resume", container_id])

    def sized_storage_class(self) -> str:
        raise FaultUnavailable("kind's volumes are folders without a limit")

    def node_command(self, node: str, argv: Sequence[str]) -> list[str]:
        pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", node]).strip()
        return ["nsenter", "-t", pid, "-n", *argv]


def _places(directions: Iterable[str]) -> str:
    """Where packets of these directions pass, as words for a shell's loop."""
    return " ".join(f"'{chain} {word} eth0'" for way in directions for chain, word in _HOOKS[way])


def route_commands(nodes: dict[str, object]) -> list[list[str]]:
    """`ip route replace` for each node's pods, and for Services through the control plane's own kube-proxy."""
    commands = []
    items = nodes["items"]
    assert isinstance(items, list)
    for node in items:
        address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
        commands.append(["ip", "route", "replace", node["spec"]["podCIDR"], "via", address])
        if node["metadata"]["name"].endswith("control-plane"):
            commands.append(["ip", "route", "replace", "10.96.0.0/16", "via", address])
    return commands
