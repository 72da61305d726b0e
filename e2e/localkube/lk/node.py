"""One Kubernetes node: a machine of its own in network, mounts and host name, with containerd, kubelet and kube-proxy.

The node's first process makes a mount namespace with its own /run, /var/log and the folders that programs cannot be
told to keep elsewhere, and then only holds it. What is mounted on the node ends with the node's processes, so nothing
that a killed node leaves behind has to be unmounted.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lk import cgroups, network, processes, render
from lk.images import load_pause
from lk.layout import NodeLayout
from lk.processes import in_machine, in_network
from lk.shell import LocalkubeError, run, wait_until

# The switch to a private mount tree comes first; `rshared` inside it lets the kubelet's volume mounts reach containers.
_BOOT = """set -e
hostname "$1"
mount --make-rshared /
mount -t tmpfs -o mode=0755 localkube-run /run
mount -t tmpfs -o mode=0755 localkube-log /var/log
mount -t tmpfs -o mode=0755 localkube-cni /var/lib/cni
mount -t tmpfs -o mode=0755 localkube-kubelet /var/lib/kubelet
mkdir -p /run/netns /run/lock
: > "$2"
exec sleep infinity
"""
MOUNT_POINTS = (Path("/var/lib/cni"), Path("/var/lib/kubelet"))
"""Folders of the machine that each node covers with its own: CNI's cache, and the kubelet's device plugin socket."""

_MACHINE, _CONTAINERD, _KUBELET, _PROXY = "machine", "containerd", "kubelet", "kube-proxy"
PARTS = (_MACHINE, _CONTAINERD, _KUBELET, _PROXY)


def machine_pid(node: NodeLayout) -> int | None:
    """The process that holds the node's namespaces; None when the node is off."""
    found = cgroups.processes(f"{node.cgroup}/{_MACHINE}")
    return min(found) if found else None


def _boot(node: NodeLayout) -> int:
    network_only = in_network(node.node.endpoint.namespace)
    private = ["unshare", "--mount", "--uts", "--propagation", "slave", "--", "sh", "-c", _BOOT, "sh"]
    booted = node.folder / "booted"
    booted.unlink(missing_ok=True)
    log = node.instance.log(f"{_MACHINE}-{node.node.name}")
    command: list[str | Path] = [*network_only, *private, node.node.name, booted]
    processes.start(f"{node.cgroup}/{_MACHINE}", command, log=log, folder=node.folder)
    wait_until(f"{node.node.name}: its namespaces (see {log})", booted.exists, seconds=10, every=0.02)
    pid = machine_pid(node)
    if pid is None:
        raise LocalkubeError(f"{node.node.name} ended at once: see {log}")
    return pid


def _start(node: NodeLayout, part: str, pid: int, command: list[str]) -> None:
    processes.start(
        f"{node.cgroup}/{part}",
        [*in_machine(pid), *command],
        log=node.instance.log(f"{part}-{node.node.name}"),
        folder=node.folder,
    )


def _write_configuration(node: NodeLayout) -> None:
    for name in ("cni", "volumes", "pod-logs", "volume-plugins", "kubelet"):
        (node.folder / name).mkdir(parents=True, exist_ok=True)
    (node.folder / "kubelet.yaml").write_text(render.kubelet_configuration(node))
    (node.folder / "containerd.toml").write_text(render.containerd_configuration(node))
    (node.folder / "cni" / "10-localkube.conflist").write_text(render.cni_configuration(node))


def share_volumes(node: NodeLayout) -> None:
    """What is mounted later on a volume's folder reaches the node's own mount tree."""
    mounted = f" {node.volumes} " in Path("/proc/self/mountinfo").read_text()
    if not mounted:
        run(["mount", "--bind", node.volumes, node.volumes])
    run(["mount", "--make-shared", node.volumes])


def _containerd_answers(node: NodeLayout) -> bool:
    shown = run(["ctr", "--address", node.socket, "--connect-timeout", "1s", "plugins", "ls"], check=False, timeout=10)
    plugins = [line.split() for line in shown.stdout.splitlines()]
    return any(words[:2] == ["io.containerd.grpc.v1", "cri"] and words[-1] == "ok" for words in plugins)


def start(node: NodeLayout, programs: str) -> None:
    """Start a node that is off, on whatever its disk holds.

    Returns when its container runtime answers and its kubelet has been started; it is not ready yet then.
    `programs` is the folder that holds the components.
    """
    plan = node.instance.plan
    _write_configuration(node)
    cgroups.prepare(node.cgroup)
    network.create_node(plan, node.node)
    share_volumes(node)
    pid = _boot(node)
    _start(node, _CONTAINERD, pid, ["containerd", "--config", str(node.folder / "containerd.toml")])
    wait_until(f"{node.node.name}: containerd", lambda: _containerd_answers(node), seconds=60)
    load_pause(node)
    _start(node, _KUBELET, pid, [f"{programs}/{render.kubelet(node)[0]}", *render.kubelet(node)[1:]])
    proxy = render.proxy(node.instance, node.node.name)
    _start(node, _PROXY, pid, [f"{programs}/{proxy[0]}", *proxy[1:]])


def power_off(node: NodeLayout) -> None:
    """End everything on the node at one instant and take its network away; its disk stays.

    Nothing written is lost, synced or not: the machine's page cache outlives this power loss, unlike a real one.
    """
    cgroups.kill(node.cgroup)
    network.remove_node(node.node)
    (node.folder / "containerd.sock").unlink(missing_ok=True)


def wipe_groups(node: NodeLayout) -> None:
    """Remove the node's control groups once it is off."""
    cgroups.remove(node.cgroup)


def erase(node: NodeLayout) -> None:
    """Remove the node's disk."""
    shutil.rmtree(node.folder, ignore_errors=True)
