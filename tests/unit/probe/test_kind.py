"""kind's provider, with programs in the place of docker, kind, kubectl and ip that write down how they were called.

What a node would run is run here by a real shell, with such an iptables.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from e2e.cluster.kind import KindCluster
from e2e.cluster.provider import Image

NODE = {
    "metadata": {"name": "matriarch-worker"},
    "spec": {"podCIDR": "10.244.1.0/24"},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.3"}]},
}
PROGRAMS = {
    "docker": 'case "$1" in exec) shift 2; exec "$@";; inspect) echo 4711;; esac',
    "kind": 'case "$1 $2" in "get clusters") cat "$STATE";; "create cluster") echo matriarch > "$STATE";; '
    '"get kubeconfig") echo config;; esac',
    "kubectl": f"echo '{json.dumps({'items': [NODE]})}'",
    "sudo": '[ "$1" = -n ] && shift && exec "$@"',
    "ip": "",
    "iptables": 'case "$*" in *-D*) exit 1;; esac',
    "pkill": "",
    "ctr": "",
}


class Machine:
    """The programs on PATH, and what they were called with."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self._log.touch()
        (folder / "clusters").touch()
        (folder / "bin").mkdir()
        for name, script in PROGRAMS.items():
            program = folder / "bin" / name
            said = f"printf '%s\\n' \"{name} $*\" >> {self._log}"
            program.write_text(f"#!/bin/sh\nSTATE={folder}/clusters\n{said}\n{script}\n")
            program.chmod(0o755)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"

    def heard(self, program: str) -> list[str]:
        """What a program was called with since the last question about any of them."""
        lines = self._log.read_text().splitlines()
        self._log.write_text("")
        return [line.removeprefix(f"{program} ") for line in lines if line.startswith(f"{program} ")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.setenv("PATH", found.path)
    return found


@pytest.mark.parametrize(("user", "program"), [(0, "ip"), (1000, "sudo")])
def test_up_makes_one_cluster_and_its_routes(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, program: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    cluster = KindCluster(tmp_path / "state")
    cluster.up()
    assert any(line.startswith("create cluster --name matriarch") for line in machine.heard("kind"))
    cluster.up()
    (route,) = machine.heard(program)
    assert route.removeprefix("-n ip ") == "route replace 10.244.1.0/24 via 172.18.0.3"
    cluster.up()
    assert not any(line.startswith("create") for line in machine.heard("kind"))
    assert Path(cluster.env["KUBECONFIG"]).read_text() == "config\n"
    cluster.down()
    assert machine.heard("kind") == ["delete cluster --name matriarch"]
    assert not Path(cluster.env["KUBECONFIG"]).exists()


def test_images_are_built_and_loaded(machine: Machine, tmp_path: Path) -> None:
    cluster = KindCluster(tmp_path)
    archive = tmp_path / "a.tar"
    cluster.build(Image("x:1", tmp_path / "Dockerfile", tmp_path, "operator", {"B": "2", "A": "1"}), archive)
    arguments = "--target operator --build-arg A=1 --build-arg B=2"
    built = f"build -t x:1 -f {tmp_path}/Dockerfile {arguments} {tmp_path}"
    assert machine.heard("docker") == [built, f"save -o {archive} x:1"]
    cluster.load([archive])
    assert machine.heard("kind") == [f"load image-archive --name matriarch {archive}"]


def test_a_node_is_cut_off_and_heals(machine: Machine, tmp_path: Path) -> None:
    cluster = KindCluster(tmp_path)
    cluster.partition("n")
    rules = [line for line in machine.heard("iptables") if "-A" in line or "-I" in line]
    assert rules == [
        "-w -A MATRIARCH-FAULT -j DROP",
        *(f"-w -I {place} eth0 -j MATRIARCH-FAULT" for place in ("INPUT -i", "FORWARD -i", "OUTPUT -o", "FORWARD -o")),
    ]
    cluster.partition_one_way("n", "out")
    rules = [line for line in machine.heard("iptables") if "-I" in line]
    assert rules == [f"-w -I {place} eth0 -j MATRIARCH-FAULT" for place in ("OUTPUT -o", "FORWARD -o")]
    cluster.lose_packets("n", 30)
    rules = [line for line in machine.heard("iptables") if "-A" in line]
    assert rules == ["-w -A MATRIARCH-FAULT -m statistic --mode random --probability 0.3 -j DROP"]
    cluster.heal("n")
    told = machine.heard("iptables")
    assert [line for line in told if "-D" in line] == [
        f"-w -D {place} eth0 -j MATRIARCH-FAULT" for place in ("INPUT -i", "FORWARD -i", "OUTPUT -o", "FORWARD -o")
    ]
    assert told[-1] == "-w -F MATRIARCH-FAULT"


def test_the_other_faults(machine: Machine, tmp_path: Path) -> None:
    cluster = KindCluster(tmp_path)
    cluster.api_pause()
    cluster.api_resume()
    assert machine.heard("pkill") == ["-STOP -x kube-apiserver", "-CONT -x kube-apiserver"]
    cluster.kill_container("n", "abc")
    cluster.pause_container("n", "abc")
    cluster.resume_container("n", "abc")
    tasks = ("kill -s SIGKILL abc", "pause abc", "resume abc")
    assert machine.heard("ctr") == [f"-n k8s.io tasks {task}" for task in tasks]
    assert cluster.node_command("n", ["id", "-u"]) == ["nsenter", "-t", "4711", "-n", "id", "-u"]
