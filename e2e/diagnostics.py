"""What a failed test leaves in e2e/out: objects, events, logs, and why each member decided what it did."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

from e2e.kubectl import CORE, OURS, Kubectl
from e2e.shell import OUT, CommandFailed

OPERATOR_NAMESPACE = "matriarch-system"


def dump(kubectl: Kubectl, namespaces: list[str], title: str) -> Path:
    """Write everything that can still be had; what cannot be had is said in its file. Returns the folder."""
    folder = OUT / re.sub(r"[^A-Za-z0-9_.-]+", "_", title)[-120:]
    folder.mkdir(parents=True, exist_ok=True)
    for namespace in namespaces:
        _text(
            folder / f"{namespace}.objects.txt", kubectl, "get", "all,endpoints,pvc,pgc", "-n", namespace, "-o", "wide"
        )
        _text(folder / f"{namespace}.events.txt", kubectl, "get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
        _text(folder / f"{namespace}.yaml", kubectl, "get", "pgc,endpoints,pods,sts", "-n", namespace, "-o", "yaml")
        _members(folder, kubectl, namespace)
    which = ("-l", "app.kubernetes.io/name=matriarch-operator", "--prefix", "--tail=-1")
    _text(folder / "operator.log", kubectl, "logs", "-n", OPERATOR_NAMESPACE, *which)
    return folder


def _members(folder: Path, kubectl: Kubectl, namespace: str) -> None:
    try:
        pods = kubectl.items(CORE, "pods", namespace=namespace, labels="application=matriarch")
    except CommandFailed as error:
        (folder / f"{namespace}.pods.txt").write_text(str(error))
        return
    for pod in pods:
        name = pod["metadata"]["name"]
        _text(folder / f"{name}.log", kubectl, "logs", "-n", namespace, name, "--tail=-1")
        _text(folder / f"{name}.previous.log", kubectl, "logs", "-n", namespace, name, "--previous", "--tail=-1")
        _decisions(folder / f"{name}.decisions.json", pod.get("status", {}).get("podIP"))


def _decisions(file: Path, address: str | None) -> None:
    try:
        with urllib.request.urlopen(f"http://{address}:8008/decisions", timeout=3) as reply:
            file.write_text(json.dumps(json.load(reply), indent=1))
    except (OSError, ValueError, urllib.error.URLError) as error:
        file.write_text(f"no answer from {address}: {error}")


def _text(file: Path, kubectl: Kubectl, *args: str) -> None:
    try:
        file.write_text(kubectl(*args, timeout=20))
    except CommandFailed as error:
        file.write_text(str(error))


def clusters(kubectl: Kubectl) -> list[str]:
    """Namespaces that hold a PostgresCluster."""
    return sorted({one["metadata"]["namespace"] for one in kubectl.items(OURS, "postgresclusters")})
