"""A node's link that loses packets at random, or all of one direction: rules in the node's own packet filter.

The kernel need not have netem. What comes in is dropped before anything else sees it, what goes out at the very last,
so pods, kubelet and kube-proxy are all behind the same bad cable.
"""

from __future__ import annotations

from typing import Literal

from lk.addresses import Endpoint
from lk.shell import LocalkubeError, run

Direction = Literal["in", "out"]
_CHAIN = "LOCALKUBE-LINK"
_PLACES: dict[Direction, tuple[str, str, str]] = {
    "in": ("raw", "PREROUTING", "-i"),
    "out": ("mangle", "POSTROUTING", "-o"),
}
"""Table, hook and the word for the interface."""


def _iptables(endpoint: Endpoint, table: str, *words: str, check: bool = True) -> bool:
    command = ["ip", "netns", "exec", endpoint.namespace, "iptables", "--wait", "10", "-t", table, *words]
    return run(command, check=check).returncode == 0


def set_loss(endpoint: Endpoint, percent: int) -> None:
    """Lose so many of a hundred packets in either direction, at random; 0 ends it."""
    if not 0 <= percent <= 100:
        raise LocalkubeError(f"a loss of {percent} %: 0 to 100 are possible")
    clear(endpoint)
    for direction in _PLACES if percent else ():
        _drop(endpoint, direction, ["-m", "statistic", "--mode", "random", "--probability", str(percent / 100)])


def cut(endpoint: Endpoint, direction: Direction) -> None:
    """Lose everything that comes in, or everything that goes out; the other direction works."""
    clear(endpoint)
    _drop(endpoint, direction, [])


def clear(endpoint: Endpoint) -> None:
    """A good link again; fine when it is one."""
    for table, hook, interface in _PLACES.values():
        _iptables(endpoint, table, "-D", hook, interface, "eth0", "-j", _CHAIN, check=False)
        _iptables(endpoint, table, "-F", _CHAIN, check=False)
        _iptables(endpoint, table, "-X", _CHAIN, check=False)


def is_bad(endpoint: Endpoint) -> bool:
    """Whether the link loses anything."""
    return any(_iptables(endpoint, table, "-S", _CHAIN, check=False) for table, _, _ in _PLACES.values())


def _drop(endpoint: Endpoint, direction: Direction, which: list[str]) -> None:
    table, hook, interface = _PLACES[direction]
    _iptables(endpoint, table, "-N", _CHAIN)
    _iptables(endpoint, table, "-A", _CHAIN, *which, "-j", "DROP")
    _iptables(endpoint, table, "-I", hook, interface, "eth0", "-j", _CHAIN)
