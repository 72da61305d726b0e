"""patronictl, configured by its environment alone: on this machine, or in a pod."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from e2e.clients.programs import folder
from e2e.kubectl import Kubectl
from e2e.shell import CommandFailed, NotYet, eventually


def _settings(namespace: str, cluster: str) -> dict[str, str]:
    """The environment that makes patronictl find a cluster of ours, as docs/patroni-compatibility.md tells users."""
    return {
        "PATRONI_SCOPE": cluster,
        "PATRONI_KUBERNETES_NAMESPACE": namespace,
        "PATRONI_KUBERNETES_USE_ENDPOINTS": "true",
        "PATRONI_KUBERNETES_LABELS": "{application: matriarch}",
        "PATRONI_KUBERNETES_CONTEXT": "",
        "XDG_CONFIG_HOME": "/nonexistent",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "250",
    }


class Patronictl:
    """For one cluster. `kubeconfig` leads to the API server; members are asked at their own addresses."""

    def __init__(self, kubeconfig: str, namespace: str, cluster: str, more: Mapping[str, str] | None = None) -> None:
        self.cluster = cluster
        self._program = [str(folder() / "patronictl")]
        self._env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PATRONI")},
            **_settings(namespace, cluster),
            "KUBECONFIG": kubeconfig,
            **(more or {}),
        }

    def run(self, *argv: str, timeout: float = 90.0, text_in: str = "") -> tuple[int, str]:
        """The exit code, and everything that it said: answers first, then complaints."""
        done = self._run(argv, timeout, text_in)
        return done.returncode, done.stdout + done.stderr

    def _run(self, argv: Sequence[str], timeout: float, text_in: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._program, *argv],
                env=self._env,
                input=text_in,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"patronictl {' '.join(argv)}: no end within {timeout:g} s: {error.output}") from error

    def __call__(self, *argv: str, timeout: float = 90.0, text_in: str = "") -> str:
        """What it said. Raises CommandFailed when it ends with an error."""
        done = self._run(argv, timeout, text_in)
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-2000:]
            raise CommandFailed(f"patronictl {' '.join(argv)}: exit code {done.returncode}: {said}")
        return done.stdout

    def members(self) -> dict[str, dict[str, Any]]:
        """`list` as JSON, by the member's name."""
        return {str(row["Member"]): row for row in json.loads(self("list", "-f", "json"))}

    def leader(self) -> str:
        """Who leads, whatever the kind of cluster. Raises NotYet."""
        return _leader(self.members())

    def replicas(self) -> list[str]:
        """Everybody else."""
        members = self.members()
        leader = _leader(members)
        return [name for name in members if name != leader]

    def wait_healthy(self, count: int, *, within: float = 60.0) -> str:
        """Wait until a leader runs, all others stream and, as the clusters of the tests ask for, one of them is
        synchronous. Returns the leader."""

        def look() -> str:
            members = self.members()
            states = sorted(str(row.get("State")) for row in members.values())
            leader = _leader(members)
            if states != ["running", *["streaming"] * (count - 1)]:
                raise NotYet(f"{members}")
            if count > 1 and not any(row["Role"] in ("Sync Standby", "Quorum Standby") for row in members.values()):
                raise NotYet(f"nobody is synchronous: {members}")
            if any("Pending restart" in row for row in members.values()):
                raise NotYet(f"a restart is pending: {members}")
            return leader

        return eventually(look, within=within, what=f"{count} healthy members in patronictl list", every=0.5)

    def wait_last_in_history(self, leader: str, *, within: float = 30.0) -> None:
        """Wait until the last promotion on record is this leader's: a new primary writes it down once it leads."""

        def look() -> None:
            found = json.loads(self("history", "-f", "json"))
            if not found or found[-1].get("New Leader") != leader:
                raise NotYet(f"{found}")

        eventually(look, within=within, what=f"{leader} in the history", every=0.5)


def _leader(members: Mapping[str, Mapping[str, Any]]) -> str:
    found = [name for name, row in members.items() if row["Role"] in ("Leader", "Standby Leader")]
    if len(found) != 1:
        raise NotYet(f"leaders: {found}")
    return found[0]


class PatronictlInPod(Patronictl):
    """In a pod whose image has patronictl; the pod's own service account leads to the API server."""

    def __init__(
        self, kubectl: Kubectl, namespace: str, pod: str, cluster: str, more: Mapping[str, str] | None = None
    ) -> None:
        self.cluster = cluster
        settings = {**_settings(namespace, cluster), **(more or {})}
        words = [f"{key}={value}" for key, value in settings.items()]
        self._program = [kubectl.program, "exec", "-i", "-n", namespace, pod, "--", "env", *words, "patronictl"]
        self._env = os.environ | kubectl.env
