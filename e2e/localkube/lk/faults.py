"""Breaking an instance on purpose, and mending it."""

from __future__ import annotations

import os
import signal

from lk import cgroups, control_plane, link_delay, network, node, programs
from lk.addresses import Node
from lk.layout import Layout
from lk.shell import LocalkubeError


def partition(layout: Layout, victim: Node) -> None:
    """Cut the node off from everything else; inside it all goes on."""
    network.unplug(layout.plan, victim.endpoint)


def heal(layout: Layout, victim: Node) -> None:
    """End the node's partition."""
    network.plug(layout.plan, victim.endpoint)
    network.forget_neighbour(layout.plan, victim.endpoint)


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
    node.start(target, str(programs.kubelite_folder()))
