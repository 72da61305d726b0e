"""An instance's life: up, down and how it is."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lk import cgroups, control_plane, dns, lossy_link, network, node, packages, pki, programs, registry
from lk.addresses import AddressPlan, Node
from lk.layout import Layout
from lk.settings import DEFAULT_NODES, STORAGE_CLASS, state_folder
from lk.shell import LocalkubeError, run, say, step, together, wait_until


@dataclass(frozen=True)
class Status:
    """How an instance is. `parts` tells which processes live, `ready` which nodes the API server calls ready."""

    layout: Layout
    api: bool
    parts: dict[str, bool]
    ready: dict[str, bool]
    cut_off: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return self.api and all(self.parts.values()) and all(self.ready.values()) and not self.cut_off


def find(name: str) -> Layout:
    """The layout of a known instance; LocalkubeError when there is none of that name."""
    layout = find_or_none(name)
    if layout is None:
        raise LocalkubeError(f"no instance {name!r} is up: run `localkube --name {name} up`")
    return layout


def find_or_none(name: str) -> Layout | None:
    entry = registry.find(registry.check_name(name))
    return Layout(name, AddressPlan(entry.index, entry.nodes)) if entry else None


def find_node(layout: Layout, name: str) -> Node:
    """The node called `name`; LocalkubeError tells which there are."""
    try:
        return layout.plan.node(name)
    except KeyError:
        known = ", ".join(one.name for one in layout.plan.nodes)
        raise LocalkubeError(f"no node {name!r}: there are {known}") from None


def nodes_ready(layout: Layout) -> dict[str, bool]:
    """Every node of the plan, and whether its Ready condition is true. Raises CommandFailed without an API server."""
    listed = json.loads(control_plane.run_kubectl(layout, "get", "nodes", "-o", "json", timeout=10))
    ready = {
        item["metadata"]["name"]
        for item in listed["items"]
        if any(found["type"] == "Ready" and found["status"] == "True" for found in item["status"]["conditions"])
    }
    return {one.name: one.name in ready for one in layout.plan.nodes}


def _alive(layout: Layout) -> dict[str, bool]:
    """Which components have a process; their names are those of their logs."""
    parts = control_plane.alive(layout)
    for one in layout.plan.nodes:
        for part in node.PARTS:
            parts[f"{part}-{one.name}"] = bool(cgroups.processes(f"{layout.node(one).cgroup}/{part}"))
    return parts


def status(layout: Layout) -> Status:
    """Look at processes, ports and the API."""
    parts = _alive(layout)
    api = parts[control_plane.API_SERVER] and control_plane.api_answers(layout)
    ready = dict.fromkeys((one.name for one in layout.plan.nodes), False)
    if api:
        with suppress(LocalkubeError):
            ready = nodes_ready(layout)
    cut_off = tuple(one.name for one in layout.plan.nodes if not _link_is_good(layout, one))
    return Status(layout, api, parts, ready, cut_off)


def _link_is_good(layout: Layout, one: Node) -> bool:
    return network.is_plugged(layout.plan, one.endpoint) and not lossy_link.is_bad(one.endpoint)


def up(name: str, nodes: int | None) -> Layout:
    """Bring the instance up, or leave it as it is when it is healthy; what a killed run left is removed first.

    `nodes` is 3 for a new instance when not given. LocalkubeError when a healthy one has another number.
    """
    if os.geteuid() != 0:
        raise LocalkubeError("localkube makes namespaces, mounts and control groups: run it as root")
    registry.check_name(name)
    packages.for_cluster()
    programs.ensure()
    with registry.locked(f"instance-{name}"):
        known = find_or_none(name)
        if known and status(known).healthy:
            if nodes not in (None, known.plan.node_count):
                raise LocalkubeError(f"{name} runs with {known.plan.node_count} nodes: run `localkube down` first")
            say(f"{name} is up already")
            return known
        if known:
            with step("removed the remains of an earlier run"):
                _remove(known)
        wanted = nodes or (known.plan.node_count if known else DEFAULT_NODES)
        entry = registry.reserve(name, AddressPlan(0, wanted).node_count)
        layout = Layout(name, AddressPlan(entry.index, entry.nodes))
        _create(layout)
        return layout


def _create(layout: Layout) -> None:
    plan = layout.plan
    layout.folder.mkdir(parents=True)
    layout.folder.chmod(0o711)
    for point in node.MOUNT_POINTS:
        point.mkdir(parents=True, exist_ok=True)
    layout.resolv_conf.write_text(f"nameserver {plan.dns_service}\n")
    with step("made certificates and the network"):
        together(lambda: pki.create(layout.pki, plan), lambda: network.create(plan))
        pki.write_kubeconfigs(layout.pki, plan, layout.name, layout.kubeconfig)
    binaries = str(programs.programs_folder())
    with step(f"started the control plane and {plan.node_count} nodes"):
        nodes = [lambda one=one: node.start(layout.node(one), binaries) for one in plan.nodes]
        together(lambda: _start_control_plane(layout), *nodes)
    with step("nodes are ready"):
        wait_until("every node is ready", lambda: _all_ready(layout), seconds=120, every=0.3)
    with step("DNS answers at its Service address, and the storage class is there"):
        wait_until("the cluster's DNS", lambda: dns.answers(plan.dns_service), seconds=60, every=0.2)
        control_plane.run_kubectl(layout, "get", "storageclass", STORAGE_CLASS)
        _wait_for_default_account(layout)


def _all_ready(layout: Layout) -> bool:
    """Nothing restarts a component here, so one that has ended ends the wait at once."""
    ended = [name for name, alive in _alive(layout).items() if not alive]
    if ended:
        raise LocalkubeError(f"{', '.join(ended)} ended: see {' '.join(str(layout.log(name)) for name in ended)}")
    return all(nodes_ready(layout).values())


def _start_control_plane(layout: Layout) -> None:
    control_plane.start_api(layout)
    control_plane.start_services(layout)


def _wait_for_default_account(layout: Layout) -> None:
    """A pod applied before the namespace's service account exists is refused."""

    def there() -> bool:
        return "default" in control_plane.run_kubectl(layout, "get", "serviceaccounts", "-o", "name")

    wait_until("the default service account", there, seconds=30)


def down(name: str) -> bool:
    """Remove the instance and every trace of it but the cache; answers whether there was one."""
    registry.check_name(name)
    with registry.locked(f"instance-{name}"):
        known = find_or_none(name)
        if known is None:
            return False
        _remove(known)
        if registry.release(name):
            network.remove_shared()
            for point in node.MOUNT_POINTS:
                with suppress(OSError):
                    point.rmdir()  # empty, unless something else than localkube uses it: then it stays
        return True


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def _remove(layout: Layout) -> None:
    cgroups.kill(layout.plan.cgroup)
    together(lambda: network.remove(layout.plan), lambda: cgroups.remove(layout.plan.cgroup))
    for point in _mounts_below(layout.folder):
        run(["umount", "--lazy", point], check=False)
    run(["rm", "-rf", "--one-file-system", layout.folder], check=False)
    if layout.folder.exists():
        raise LocalkubeError(f"{layout.folder} cannot be removed: see what uses it, then run `localkube down` again")
    with suppress(OSError):
        state_folder().rmdir()
