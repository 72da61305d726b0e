"""kind: Kubernetes nodes as Docker containers. Thin on purpose; it needs a Docker engine and the kind program."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.cluster.existing import docker_build
from e2e.cluster.provider import Fault, Image
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
_CUT = (("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o"))


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
    faults = frozenset(Fault)

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
        for argv in route_commands(json.loads(run(["kubectl", "get", "nodes", "-o", "json"], env=self.env))):
            run(argv)

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
        for chain, direction in _CUT:
            run(["docker", "exec", node, "iptables", "-I", chain, direction, "eth0", "-j", "DROP"])

    def heal(self, node: str) -> None:
        for chain, direction in _CUT:
            run(["docker", "exec", node, "iptables", "-D", chain, direction, "eth0", "-j", "DROP"])

    def api_pause(self) -> None:
        run(["docker", "exec", f"{CLUSTER}-control-plane", "pkill", "-STOP", "-x", "kube-apiserver"])

    def api_resume(self) -> None:
        run(["docker", "exec", f"{CLUSTER}-control-plane", "pkill", "-CONT", "-x", "kube-apiserver"])

    def kill_container(self, node: str, container_id: str) -> None:
        run(["docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", container_id])

    def node_command(self, node: str, argv: Sequence[str]) -> list[str]:
        pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", node]).strip()
        return ["nsenter", "-t", pid, "-n", *argv]


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
