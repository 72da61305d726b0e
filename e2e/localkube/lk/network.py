"""Namespaces, links and routes of an instance.

A switch has one port each for the control plane, the gateway, the machine itself and every node. The machine's own
namespace gets one interface and a few routes and nothing else: no packet filter rule, no setting. Service addresses are
routed to the gateway, whose kube-proxy translates them.
"""

from __future__ import annotations

from contextlib import suppress

from lk.addresses import AddressPlan, Endpoint, Node
from lk.registry import NETNS_FOLDER
from lk.shell import CommandFailed, run

BRIDGE = "br0"


def _inside(namespace: str, *command: str) -> None:
    run(["ip", "netns", "exec", namespace, *command])


def _batch(namespace: str | None, *lines: str) -> None:
    """Several `ip` commands at the price of one process; in the machine's own namespace when `namespace` is None."""
    place = ["-n", namespace] if namespace else []
    run(["ip", *place, "-batch", "-"], stdin="\n".join(lines) + "\n")


def _connect(plan: AddressPlan, endpoint: Endpoint) -> None:
    run(["ip", "netns", "add", endpoint.namespace])
    _batch(
        plan.switch,
        f"link add {endpoint.port} type veth peer name eth0 netns {endpoint.namespace}",
        f"link set {endpoint.port} master {BRIDGE} up",
    )
    _batch(endpoint.namespace, "link set lo up", f"addr add {endpoint.address}/24 dev eth0", "link set eth0 up")


def _forward(endpoint: Endpoint) -> None:
    _inside(endpoint.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")


def _pod_routes(plan: AddressPlan, but: Node | None = None) -> list[str]:
    return [f"route replace {node.pod_range} via {node.endpoint.address}" for node in plan.nodes if node != but]


def create(plan: AddressPlan) -> None:
    """Make everything but the nodes' own namespaces."""
    run(["ip", "netns", "add", plan.switch])
    _batch(plan.switch, f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up", "link set lo up")
    for endpoint in (plan.control_plane, plan.gateway):
        _connect(plan, endpoint)
        _batch(endpoint.namespace, *_pod_routes(plan))
    _batch(plan.control_plane.namespace, f"route add {plan.services} via {plan.gateway.address}")
    _forward(plan.gateway)
    _batch(
        None,
        f"link add {plan.host_link} type veth peer name host netns {plan.switch}",
        f"addr add {plan.host_address}/24 dev {plan.host_link}",
        f"link set {plan.host_link} up",
        *_pod_routes(plan),
        f"route add {plan.services} via {plan.gateway.address}",
    )
    _batch(plan.switch, f"link set host master {BRIDGE} up")


def create_node(plan: AddressPlan, node: Node) -> None:
    """Make a node's namespace and plug it in.

    What is neither a pod's address nor on the switch goes to the gateway, which knows no way out and says so at once.
    """
    _connect(plan, node.endpoint)
    _forward(node.endpoint)
    _batch(
        node.endpoint.namespace,
        *_pod_routes(plan, but=node),
        f"route replace default via {plan.gateway.address}",
    )


def remove_node(node: Node) -> None:
    """Take a node's namespace away, links and all."""
    run(["ip", "netns", "del", node.endpoint.namespace])


def remove(plan: AddressPlan) -> None:
    """Remove every namespace and link whose name says that it is this instance's; fine when there are none."""
    run(["ip", "link", "del", plan.host_link], check=False)
    if not NETNS_FOLDER.is_dir():
        return
    for path in sorted(NETNS_FOLDER.iterdir()):
        if path.name.startswith(f"{plan.prefix}-"):
            run(["ip", "netns", "del", path.name])


def remove_shared() -> None:
    """Undo what the first `ip netns add` did to the machine, once no namespace has a name any more."""
    if NETNS_FOLDER.is_dir() and not any(NETNS_FOLDER.iterdir()):
        run(["umount", NETNS_FOLDER], check=False)
        with suppress(OSError):
            NETNS_FOLDER.rmdir()


def unplug(plan: AddressPlan, endpoint: Endpoint) -> None:
    """Cut an endpoint off: its link stays up and whatever it sends or is sent is lost, as behind a dead switch."""
    run(["ip", "-n", plan.switch, "link", "set", endpoint.port, "nomaster"])


def plug(plan: AddressPlan, endpoint: Endpoint) -> None:
    """Undo `unplug`; fine when it is plugged in already."""
    run(["ip", "-n", plan.switch, "link", "set", endpoint.port, "master", BRIDGE])


def forget_neighbour(plan: AddressPlan, endpoint: Endpoint) -> None:
    """Let the machine ask anew where the endpoint is: a failed search is remembered for a second or more."""
    run(["ip", "neigh", "flush", "to", endpoint.address, "dev", plan.host_link], check=False)


def is_plugged(plan: AddressPlan, endpoint: Endpoint) -> bool:
    """Whether the endpoint's port is on the switch."""
    try:
        shown = run(["ip", "-n", plan.switch, "-o", "link", "show", "dev", endpoint.port])
    except CommandFailed:
        return False
    return f"master {BRIDGE}" in shown.stdout
