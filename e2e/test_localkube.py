"""localkube itself, on an instance of its own beside the one that other tests use. Needs root on Linux."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.shell import ROOT, CommandFailed, NotYet, eventually, run

TOOL = str(ROOT / "e2e" / "localkube" / "localkube")
NAME = "smoke"
IMAGE = "localhost/localkube-smoke:1"
PODS = f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: web}}
spec:
  serviceName: web
  replicas: 2
  podManagementPolicy: Parallel
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      securityContext: {{runAsNonRoot: true, runAsUser: 999, fsGroup: 999, seccompProfile: {{type: RuntimeDefault}}}}
      terminationGracePeriodSeconds: 1
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {{labelSelector: {{matchLabels: {{app: web}}}}, topologyKey: kubernetes.io/hostname}}
      containers:
      - name: web
        image: {IMAGE}
        imagePullPolicy: Never
        securityContext:
          {{readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
        command: [perl, -e]
        args:
        - >-
          use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1);
          while ($c = $s->accept) {{ <$c>; print $c "HTTP/1.0 200 OK\\r\\n\\r\\nhello"; close $c }}
        readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
        volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: None, selector: {{app: web}}, ports: [{{port: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: front}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""

pytestmark = pytest.mark.e2e


def tool(*words: str, timeout: float = 1500) -> str:
    return run([TOOL, "--name", NAME, *words], timeout=timeout)


def kubectl(*words: str, text_in: str | None = None) -> str:
    config = tool("kubeconfig").strip()
    program = Path.home() / ".cache" / "localkube" / "bin" / "kubectl"
    return run([str(program), f"--kubeconfig={config}", *words], text_in=text_in)


def within(seconds: float, condition: Callable[[], bool]) -> None:
    """Wait for a condition, which does not hold either while it cannot be asked for."""

    def look() -> None:
        if not condition():
            raise NotYet("it does not hold")

    eventually(look, within=seconds, what="a condition")


def fetch(address: str, *before: str) -> bool:
    """Whether an HTTP server answers at `address`, asked by a program started with the words `before` it."""
    words = [*before, "curl", "--silent", "--fail", "--max-time", "1", f"http://{address}/"]
    return subprocess.run(words, stdout=subprocess.DEVNULL, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN perl -v\n")
    archive = folder / "image.tar"
    try:
        tool("up", "--nodes", "2")
        tool("build", "--tag", IMAGE, "-o", str(archive), "--cache-key", str(folder))
        tool("load", str(archive))
        kubectl("apply", "-f", "-", text_in=PODS)
        kubectl("rollout", "status", "statefulset/web", "--timeout=50s")
        yield
    finally:
        tool("down")


def pod(index: int, field: str) -> str:
    return kubectl("get", "pod", f"web-{index}", "-o", f"jsonpath={{{field}}}")


def node_ready(name: str) -> bool:
    status = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return kubectl("get", "node", name, "-o", status) == "True"


def api_connect_seconds() -> float:
    """How long the API server takes to accept a connection: one round trip."""
    address = tool("kubeconfig", "--print").split("server: https://")[1].split(":")[0]
    before = time.monotonic()
    socket.create_connection((address, 6443), timeout=20).close()
    return time.monotonic() - before


def test_up_again_returns_at_once(cluster: None) -> None:
    before = time.monotonic()
    tool("up", timeout=10)
    assert time.monotonic() - before < 5


def test_pods_find_each_other_by_name_and_the_machine_reaches_services(cluster: None) -> None:
    names = ("web-1.web", "front.default.svc.cluster.local")
    address, front = pod(1, ".status.podIP"), kubectl("get", "service", "front", "-o", "jsonpath={.spec.clusterIP}")
    # DNS and nodes learn of a ready pod after the one who waits for the rollout does.
    within(15, lambda: address in kubectl("exec", "web-0", "--", "getent", "hosts", *names))
    within(15, lambda: fetch(front))
    within(5, lambda: fetch(f"{address}:8080"))


def test_a_partitioned_node_lives_on_alone(cluster: None) -> None:
    node, address = pod(0, ".spec.nodeName"), pod(0, ".status.podIP") + ":8080"
    tool("partition", node)
    try:
        assert not fetch(address)
        within(10, lambda: fetch(address, TOOL, "--name", NAME, "exec-node", node))
    finally:
        tool("heal", node)
    within(10, lambda: fetch(address))


def test_a_paused_and_a_slow_api_server(cluster: None) -> None:
    tool("api", "pause")
    try:
        with pytest.raises(CommandFailed):
            kubectl("get", "nodes", "--request-timeout=1s")
    finally:
        tool("api", "resume")
    tool("api", "delay", "800")
    try:
        assert 0.8 <= api_connect_seconds() < 5
        kubectl("get", "nodes")
    finally:
        tool("api", "delay", "0")
    assert api_connect_seconds() < 0.8


def test_a_killed_node_comes_back_with_its_disk(cluster: None) -> None:
    node, address = pod(1, ".spec.nodeName"), pod(1, ".status.podIP") + ":8080"
    kubectl("exec", "web-1", "--", "sh", "-c", "echo here > /data/note")
    tool("node", "kill", node)
    assert not fetch(address)
    with pytest.raises(CommandFailed):
        tool("status")
    tool("node", "start", node)
    within(60, lambda: fetch(pod(1, ".status.podIP") + ":8080"))
    within(60, lambda: node_ready(node))
    within(30, lambda: kubectl("exec", "web-1", "--", "cat", "/data/note") == "here\n")


def test_a_deleted_claim_frees_its_volume(cluster: None) -> None:
    volumes = kubectl("get", "pv", "-o", "jsonpath={.items[*].spec.local.path}").split()
    assert len(volumes) == 2
    assert all(Path(path).is_dir() for path in volumes)
    kubectl("delete", "statefulset/web", "--wait")
    kubectl("delete", "pvc", "--all", "--wait")
    within(20, lambda: not kubectl("get", "pv", "-o", "name"))
    assert not any(Path(path).exists() for path in volumes)


def command_lines() -> Iterator[str]:
    """Of all processes on this machine; others come and go meanwhile."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().decode(errors="replace")


def test_up_after_a_killed_up_and_nothing_left_after_down(cluster: None) -> None:
    folder = Path(tool("kubeconfig").strip()).parent
    tool("down")
    started = subprocess.Popen([TOOL, "--name", NAME, "up", "--nodes", "2"], stderr=subprocess.DEVNULL)
    within(30, (folder / "node1" / "kubelet.yaml").exists)
    started.send_signal(signal.SIGKILL)
    started.wait()
    before = time.monotonic()
    tool("up", "--nodes", "2")
    assert time.monotonic() - before < 40, "with everything cached"
    index = run([TOOL, "--name", NAME, "status"]).split("https://10.")[1].split(".")[0]
    tool("down")
    tool("down")
    prefix = f"lk{int(index) - 200}"
    assert not folder.exists()
    assert f"{prefix}host" not in run(["ip", "-o", "link"])
    assert f"{prefix}-" not in run(["ip", "netns", "list"])
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/localkube-{int(index) - 200}"))
    assert not any(str(folder) in line for line in command_lines())
