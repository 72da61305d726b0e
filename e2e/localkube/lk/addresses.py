"""The address plan: every name, address and range of an instance follows from its index and its node count."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from lk.settings import MAXIMUM_NODES

MAXIMUM_INDEX = 49
API_PORT = 6443


@dataclass(frozen=True)
class Endpoint:
    """One network namespace on the instance's switch.

    `port` is the name of its interface on the switch side, `address` its own IPv4 address.
    """

    namespace: str
    port: str
    address: str


@dataclass(frozen=True)
class Node:
    """A Kubernetes node: its name, its place on the switch and the range that its pods take addresses from."""

    name: str
    number: int
    endpoint: Endpoint
    pod_range: str


@dataclass(frozen=True)
class AddressPlan:
    """All addresses of instance `index` (0..49); two instances never overlap."""

    index: int
    node_count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAXIMUM_INDEX:
            raise ValueError(f"index {self.index} is outside 0..{MAXIMUM_INDEX}")
        if not 1 <= self.node_count <= MAXIMUM_NODES:
            raise ValueError(f"{self.node_count} nodes asked for: 1 to {MAXIMUM_NODES} are possible")

    @property
    def pods(self) -> str:
        return f"10.{100 + self.index}.0.0/16"

    @property
    def services(self) -> str:
        return f"10.{150 + self.index}.0.0/16"

    @property
    def links(self) -> str:
        return f"10.{200 + self.index}.0.0/24"

    @property
    def ranges(self) -> tuple[str, str, str]:
        return (self.pods, self.services, self.links)

    def _link(self, host: int) -> str:
        return f"10.{200 + self.index}.0.{host}"

    @property
    def prefix(self) -> str:
        """Every namespace and link of this instance starts with it."""
        return f"lk{self.index}"

    @property
    def switch(self) -> str:
        return f"{self.prefix}-sw"

    @property
    def host_link(self) -> str:
        """The machine's own interface on the switch."""
        return f"{self.prefix}host"

    @property
    def host_address(self) -> str:
        return self._link(254)

    @property
    def control_plane(self) -> Endpoint:
        return Endpoint(f"{self.prefix}-cp", "cp", self._link(1))

    @property
    def gateway(self) -> Endpoint:
        """Holds a kube-proxy and the cluster's DNS: the machine's way to Service addresses."""
        return Endpoint(f"{self.prefix}-gw", "gw", self._link(2))

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(
            Node(
                name=f"node{number}",
                number=number,
                endpoint=Endpoint(f"{self.prefix}-n{number}", f"n{number}", self._link(10 + number)),
                pod_range=f"10.{100 + self.index}.{number}.0/24",
            )
            for number in range(1, self.node_count + 1)
        )

    def node(self, name: str) -> Node:
        """The node called `name`; KeyError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def api_server(self) -> str:
        return f"https://{self.control_plane.address}:{API_PORT}"

    @property
    def kubernetes_service(self) -> str:
        """The API server's Service address: by convention the first of the range."""
        return f"10.{150 + self.index}.0.1"

    @property
    def dns_service(self) -> str:
        return f"10.{150 + self.index}.0.10"

    @property
    def cgroup(self) -> str:
        return f"localkube-{self.index}"


def overlaps(plan: AddressPlan, taken: Iterable[str]) -> bool:
    """Whether one of the plan's ranges meets one of the networks in `taken` (CIDR notation)."""
    mine = [ipaddress.ip_network(text) for text in plan.ranges]
    theirs = [ipaddress.ip_network(text, strict=False) for text in taken]
    return any(a.version == b.version and a.overlaps(b) for a in mine for b in theirs)
