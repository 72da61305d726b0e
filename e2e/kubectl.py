"""The Kubernetes API for tests.

Writes go through kubectl, as a person's would. Reads are plain requests: they are polled, and a kubectl process for
each would steal the processor from what is measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pykube
import requests
import yaml

from e2e.shell import CommandFailed, run

Object = dict[str, Any]
CORE = "v1"
APPS = "apps/v1"
OURS = "matriarch.dev/v1"


class Absent(CommandFailed):
    """The object is not there (404)."""


class Kubectl:
    """One cluster. `env` carries KUBECONFIG and PATH."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self.program = _on_path("kubectl", self.env)
        self._reader = pykube.HTTPClient(pykube.KubeConfig.from_file(self.env["KUBECONFIG"]), timeout=3.0)

    def __call__(self, *args: str, timeout: float = 60.0, text_in: str | None = None) -> str:
        """Run kubectl with these arguments. Raises CommandFailed."""
        return run([self.program, *args], env=self.env, timeout=timeout, text_in=text_in)

    def apply(self, *manifests: Object, namespace: str | None = None, server_side: bool = False) -> str:
        """`kubectl apply` with strict validation, as it is by default. Raises CommandFailed with the refusal."""
        scope = ["-n", namespace] if namespace else []
        how = ["--server-side", "--force-conflicts"] if server_side else []
        return self("apply", *scope, *how, "-f", "-", text_in=yaml.safe_dump_all(manifests))

    def get(
        self, version: str, plural: str, name: str = "", *, namespace: str | None = None, labels: str = ""
    ) -> Object:
        """Read one object, or a list when `name` is empty. Raises Absent, CommandFailed."""
        url = f"{plural}/{name}" if name else plural
        try:
            reply = self._reader.get(
                version=version, url=url, namespace=namespace, params={"labelSelector": labels} if labels else {}
            )
        except requests.RequestException as error:
            raise CommandFailed(f"reading {url}: {error}") from error
        if reply.status_code == 404:
            raise Absent(f"{url} is not there")
        if not reply.ok:
            raise CommandFailed(f"reading {url}: {reply.status_code} {reply.text[:300]}")
        found: Object = reply.json()
        return found

    def items(self, version: str, plural: str, *, namespace: str | None = None, labels: str = "") -> list[Object]:
        """The items of a list."""
        found: list[Object] = self.get(version, plural, namespace=namespace, labels=labels)["items"]
        return found

    def exec(self, namespace: str, pod: str, *argv: str, timeout: float = 30.0, container: str = "postgres") -> str:
        """Run a program in a pod's container."""
        return self("exec", "-n", namespace, pod, "-c", container, "--", *argv, timeout=timeout)

    def events(self, namespace: str) -> list[str]:
        """Every event of a namespace as `reason object: message`."""
        return [
            f"{one.get('reason')} {one['involvedObject'].get('name')}: {one.get('message')}"
            for one in self.items(CORE, "events", namespace=namespace)
        ]

    def make_namespace(self, name: str) -> None:
        """A namespace under the *restricted* Pod Security standard, as a careful administrator has it."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": CORE, "kind": "Namespace", "metadata": {"name": name, "labels": labels}})

    def drop_namespace(self, name: str, *, wait: bool = False) -> None:
        """Delete a namespace with all that is in it."""
        self("delete", "namespace", name, "--ignore-not-found", f"--wait={str(wait).lower()}", timeout=180)


class Helm:
    """The helm program with a cluster's environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self.program = _on_path("helm", self.env)

    def __call__(self, *args: str, timeout: float = 180.0) -> str:
        """Run helm with these arguments. Raises CommandFailed."""
        return run([self.program, *args], env=self.env, timeout=timeout)


def _on_path(program: str, env: Mapping[str, str]) -> str:
    for folder in env.get("PATH", os.environ.get("PATH", "")).split(":"):
        candidate = Path(folder) / program
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise CommandFailed(f"{program} is not on PATH")


def load_json(text: str | None) -> Any:
    """JSON of an annotation; None when there is none."""
    return json.loads(text) if text else None


def labels_of(item: Object) -> dict[str, str]:
    """An object's labels, empty when it has none."""
    found: dict[str, str] = item["metadata"].get("labels") or {}
    return found


def annotations_of(item: Object) -> dict[str, str]:
    """An object's annotations, empty when it has none."""
    found: dict[str, str] = item["metadata"].get("annotations") or {}
    return found


def names_of(items: Sequence[Object]) -> list[str]:
    """The names of objects, sorted."""
    return sorted(item["metadata"]["name"] for item in items)
