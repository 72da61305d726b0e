"""etcd, the API server, the controllers, the scheduler, and what serves the whole cluster beside them."""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from lk import cgroups, processes, render
from lk.addresses import Endpoint
from lk.layout import Layout
from lk.processes import in_network
from lk.programs import kubectl, programs_folder
from lk.settings import PACKAGE_FOLDER
from lk.shell import run, wait_until

API_SERVER = "kube-apiserver"
ETCD, CONTROLLERS, SCHEDULER = "etcd", "kube-controller-manager", "kube-scheduler"
GATEWAY_PROXY, DNS, STORAGE = "kube-proxy", "coredns", "storage"
CONTROL_PLANE = (ETCD, API_SERVER, CONTROLLERS, SCHEDULER)
GATEWAY = (GATEWAY_PROXY, DNS)


def group(layout: Layout, component: str) -> str:
    """The control group of a component that is on no node."""
    return f"{layout.plan.cgroup}/system/{component}"


def _start(layout: Layout, component: str, place: Endpoint | None, command: list[str]) -> None:
    words = [*(in_network(place.namespace) if place else []), *command]
    processes.start(group(layout, component), words, log=layout.log(component), folder=layout.folder)


def _component(command: list[str]) -> list[str]:
    return [str(programs_folder() / command[0]), *command[1:]]


def api_answers(layout: Layout, *, seconds: float = 2.0) -> bool:
    """Whether the API server says that it is ready, within `seconds`."""
    context = ssl.create_default_context(cafile=layout.pki / "ca.crt")
    context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
    try:
        with urllib.request.urlopen(f"{layout.plan.api_server}/readyz", timeout=seconds, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start_api(layout: Layout) -> None:
    """Start etcd and the API server and wait until it is ready."""
    place = layout.plan.control_plane
    _start(layout, ETCD, place, _component(render.etcd(layout)))
    _start(layout, API_SERVER, place, _component(render.api_server(layout)))
    wait_until("the API server is ready", lambda: api_answers(layout), seconds=60, every=0.1)


def start_services(layout: Layout) -> None:
    """Start what needs the API server: controllers, scheduler, the gateway's kube-proxy, DNS and storage."""
    plan = layout.plan
    _start(layout, CONTROLLERS, plan.control_plane, _component(render.controller_manager(layout)))
    _start(layout, SCHEDULER, plan.control_plane, _component(render.scheduler(layout)))
    _start(layout, GATEWAY_PROXY, plan.gateway, _component(render.proxy(layout, plan.nodes[0].name)))
    run_kubectl(layout, "apply", "--server-side", "-f", "-", stdin=render.base_objects(layout))
    corefile = layout.folder / "Corefile"
    corefile.write_text(render.corefile(layout))
    _start(layout, DNS, plan.gateway, [str(programs_folder() / "coredns"), "-conf", str(corefile)])
    volumes = [f"--node={node.name}={layout.node(node).volumes}" for node in plan.nodes]
    program = ["env", f"PYTHONPATH={PACKAGE_FOLDER.parent}", sys.executable, "-B", "-m", "lk.storage"]
    _start(layout, STORAGE, None, [*program, f"--server={plan.api_server}", f"--pki={layout.pki}", *volumes])


def run_kubectl(layout: Layout, *words: str, stdin: str | None = None, timeout: float = 60.0) -> str:
    """Run kubectl as the cluster's administrator and return what it printed."""
    command: list[str | Path] = [kubectl(), f"--kubeconfig={layout.kubeconfig}", *words]
    return run(command, stdin=stdin, timeout=timeout).stdout


def alive(layout: Layout) -> dict[str, bool]:
    """Which of the components that are on no node have a process."""
    return {name: bool(cgroups.processes(group(layout, name))) for name in (*CONTROL_PLANE, *GATEWAY, STORAGE)}
