"""Ports for servers that a test starts, and may stop and start again, beside other processes that do the same."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 30_000)
"""Below those that the kernel gives to outgoing connections: no client can sit on the port of a server that is down."""


def free_port() -> int:
    """A port of loopback that nobody listens on, and that no other caller is given while this process lives."""
    numbers = random.SystemRandom()
    while True:
        port = numbers.choice(_PORTS)
        if _unused(port) and _claimed(port):
            return port


def _unused(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claimed(port: int) -> bool:
    """Take a name in the kernel's memory, which it frees when this process ends, however it does."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0matriarch-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True
