"""Delaying the API server's packets where the kernel has no netem: a program between its port and the switch.

While a delay is on, the control plane's port is off the switch and a link of this program's own is on it. The program
passes every frame on: towards the API server at once, from it after the delay. So connections live on, and nothing
changes in the processes at either end.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import sys
import time
from collections import deque

from lk import cgroups, control_plane, network, processes
from lk.layout import Layout
from lk.processes import in_network
from lk.settings import PACKAGE_FOLDER
from lk.shell import LocalkubeError, run, wait_until

_COMPONENT = "delay"
_OUTER, _INNER = "delay", "delayin"
_ETH_P_ALL = 0x0003
_LARGEST_DELAY = 60_000
_OFFLOADS = ("tx", "rx", "tso", "gso", "gro", "sg")


def _group(layout: Layout) -> str:
    return control_plane.group(layout, _COMPONENT)


def _without_offloads(namespace: str, device: str) -> None:
    """Frames pass through a program, so the kernel has to finish them itself: no merging, no checksum left open."""
    settings = [word for name in _OFFLOADS for word in (name, "off")]
    run(["ip", "netns", "exec", namespace, "ethtool", "-K", device, *settings], check=False)


def _remove(layout: Layout) -> None:
    plan = layout.plan
    cgroups.kill(_group(layout))
    run(["ip", "-n", plan.switch, "link", "del", _OUTER], check=False)
    network.plug(plan, plan.control_plane)


def _insert(layout: Layout, milliseconds: int) -> None:
    plan = layout.plan
    port = plan.control_plane.port
    run(["ip", "-n", plan.switch, "link", "add", _OUTER, "type", "veth", "peer", "name", _INNER])
    for device in (_OUTER, _INNER, port):
        _without_offloads(plan.switch, device)
        run(["ip", "-n", plan.switch, "link", "set", device, "promisc", "on", "up"])
    _without_offloads(plan.control_plane.namespace, "eth0")
    program = ["env", f"PYTHONPATH={PACKAGE_FOLDER.parent}", sys.executable, "-B", "-m", "lk.link_delay"]
    ready = layout.folder / "delay.ready"
    ready.unlink(missing_ok=True)
    command = [*in_network(plan.switch), *program, port, _INNER, str(milliseconds), str(ready)]
    processes.start(_group(layout), command, log=layout.log(_COMPONENT), folder=layout.folder)
    wait_until(f"the delay (see {layout.log(_COMPONENT)})", ready.exists, seconds=10, every=0.02)
    network.unplug(plan, plan.control_plane)
    run(["ip", "-n", plan.switch, "link", "set", _OUTER, "master", network.BRIDGE])


def is_on(layout: Layout) -> bool:
    """Whether a delay is set."""
    return bool(cgroups.processes(_group(layout)))


def set_delay(layout: Layout, milliseconds: int) -> None:
    """Set, change or (with 0) end the delay."""
    if not 0 <= milliseconds <= _LARGEST_DELAY:
        raise LocalkubeError(f"a delay of {milliseconds} ms: 0 to {_LARGEST_DELAY} are possible")
    _remove(layout)
    if milliseconds:
        _insert(layout, milliseconds)


def _open(device: str) -> socket.socket:
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    frames.bind((device, _ETH_P_ALL))
    frames.setblocking(False)
    frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    return frames


def _receive(frames: socket.socket) -> list[bytes]:
    """What came in, without what we sent ourselves (the kernel shows both)."""
    received: list[bytes] = []
    while len(received) < 256:
        try:
            frame, address = frames.recvfrom(65600)
        except BlockingIOError:
            break
        if address[2] != socket.PACKET_OUTGOING:
            received.append(frame)
    return received


def _send(frames: socket.socket, frame: bytes) -> None:
    try:
        frames.send(frame)
    except OSError as problem:
        print(f"frame of {len(frame)} bytes lost: {problem}", flush=True)


def pass_on(delayed: socket.socket, direct: socket.socket, seconds: float) -> None:
    """Move frames between both sockets for ever: those from `delayed` after `seconds`, those from `direct` at once."""
    waiting: deque[tuple[float, bytes]] = deque()
    with selectors.DefaultSelector() as selector:
        selector.register(delayed, selectors.EVENT_READ)
        selector.register(direct, selectors.EVENT_READ)
        while True:
            patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            selector.select(patience)
            now = time.monotonic()
            waiting.extend((now + seconds, frame) for frame in _receive(delayed))
            for frame in _receive(direct):
                _send(delayed, frame)
            while waiting and waiting[0][0] <= time.monotonic():
                _send(direct, waiting.popleft()[1])


def main() -> None:
    """The program: `DELAYED-DEVICE DIRECT-DEVICE MILLISECONDS READY-FILE`."""
    arguments = argparse.ArgumentParser(prog="localkube delay")
    arguments.add_argument("delayed")
    arguments.add_argument("direct")
    arguments.add_argument("milliseconds", type=int)
    arguments.add_argument("ready")
    given = arguments.parse_args()
    delayed, direct = _open(given.delayed), _open(given.direct)
    os.close(os.open(given.ready, os.O_CREAT | os.O_WRONLY, 0o600))
    pass_on(delayed, direct, given.milliseconds / 1000)


if __name__ == "__main__":
    main()
