"""Where the files of one instance are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lk.addresses import AddressPlan, Node
from lk.settings import state_folder


@dataclass(frozen=True)
class Layout:
    """The folder of the instance called `name`, and its address plan."""

    name: str
    plan: AddressPlan

    @property
    def folder(self) -> Path:
        return state_folder() / self.name

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def resolv_conf(self) -> Path:
        """What pods with dnsPolicy Default get."""
        return self.folder / "resolv.conf"

    def node(self, node: Node) -> NodeLayout:
        return NodeLayout(self, node)

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"


@dataclass(frozen=True)
class NodeLayout:
    """The disk of one node: what survives when it loses power."""

    instance: Layout
    node: Node

    @property
    def folder(self) -> Path:
        return self.instance.folder / self.node.name

    @property
    def socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def containerd(self) -> Path:
        """containerd's data: images, and the containers' own layers."""
        return self.folder / "containerd"

    @property
    def volumes(self) -> Path:
        return self.folder / "volumes"

    @property
    def cgroup(self) -> str:
        return f"{self.instance.plan.cgroup}/{self.node.name}"
