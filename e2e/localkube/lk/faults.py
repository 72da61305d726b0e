"""Breaking an instance on purpose, and mending it."""

from __future__ import annotations

import os
import signal

from lk import cgroups, control_plane, link_delay, lossy_link, network, node, programs
from lk.addresses import Node
from lk.layout import Layout
from lk.shell import LocalkubeError, run


def partition(layout: Layout, victim: Node) -> None:
    """Cut the node off from everything else; inside it all goes on."""
    network.unplug(layout.plan, victim.endpoint)


def partition_one_way(victim: Node, direction: lossy_link.Direction) -> None:
    """Lose all that comes in to the node, or all that goes out of it: it is heard and hears nothing, or the reverse."""
    lossy_link.cut(victim.endpoint, direction)


def lose_packets(victim: Node, percent: int) -> None:
    """Lose so many of a hundred of the node's packets, in either direction; 0 ends it."""
    lossy_link.set_loss(victim.endpoint, percent)


def heal(layout: Layout, victim: Node) -> None:
    """End whatever is wrong with the node's link."""
    lossy_link.clear(victim.endpoint)
    network.plug(layout.plan, victim.endpoint)
    network.forget_neighbour(layout.plan, victim.endpoint)


def pause_container(layout: Layout, place: Node, container: str) -> None:
    """Freeze every process of a container at one instant (the freezer control group); its network stays."""
    _task(layout, place, "pause", container)


def resume_container(layout: Layout, place: Node, container: str) -> None:
    """Let a paused container go on, as if no time had passed."""
    _task(layout, place, "resume", container)


def _task(layout: Layout, place: Node, action: str, container: str) -> None:
    socket = layout.node(place).socket
    run(["ctr", "--address", socket, "--namespace", "k8s.io", "tasks", action, container], timeout=30)


def _signal_api(layout: Layout, number: signal.Signals) -> None:
    found = cgroups.processes(control_plane.group(layout, control_plane.API_SERVER))
    if not found:
        raise LocalkubeError("the API server does not run")
    for pid in found:
        os.kill(pid, number)


def pause_api(layout: Layout) -> None:
    """Stop the API server without ending a connection, as a hung one: requests are accepted and never answered."""
    _signal_api(layout, signal.SIGSTOP)


def resume_api(layout: Layout) -> None:
    """Let a paused API server go on."""
    _signal_api(layout, signal.SIGCONT)


def delay_api(layout: Layout, milliseconds: int) -> None:
    """Let every packet of the API server arrive that much later; 0 ends it. Connections stay."""
    link_delay.set_delay(layout, milliseconds)


def kill_node(layout: Layout, victim: Node) -> None:
    """Power loss: every process of the node ends at one instant, and its network with it. Its disk stays."""
    target = layout.node(victim)
    if node.machine_pid(target) is None:
        raise LocalkubeError(f"{victim.name} is off already")
    node.power_off(target)


def start_node(layout: Layout, victim: Node) -> None:
    """Power a killed node on again, with its disk."""
    target = layout.node(victim)
    if node.machine_pid(target) is not None:
        raise LocalkubeError(f"{victim.name} is on already")
    node.start(target, str(programs.programs_folder()))
