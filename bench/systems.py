"""The two systems under measurement, seen alike: create, set the mode, switch over, remove."""

from __future__ import annotations

import base64
import json
import secrets
import time
import urllib.request
from typing import Protocol

import psycopg
from e2e.kubectl import CORE, Kubectl
from e2e.postgres_cluster import PostgresCluster
from e2e.probe.process import Target
from e2e.shell import ROOT, NotYet, TimedOut, eventually


class System(Protocol):
    """One highly available Postgres."""

    label: str

    @property
    def cluster(self) -> PostgresCluster:
        """Its members, lock and Service."""

    def create(self) -> None:
        """Three healthy members, in the mode that is this system's default."""

    def set_synchronous(self, wanted: bool) -> None:
        """Change the replication mode and wait until it is in force."""

    def switch_over(self) -> None:
        """Ask for a planned switchover to any healthy replica; does not wait."""

    def remove(self) -> None:
        """Remove all of it."""


class Matriarch:
    """With its defaults: synchronous, failsafe mode on, ttl 9 s."""

    label = "matriarch"

    def __init__(self, kubectl: Kubectl) -> None:
        self.cluster = PostgresCluster(kubectl, "bench-matriarch", "demo")

    def create(self) -> None:
        self.cluster.kubectl.drop_namespace(self.cluster.namespace, wait=True)
        self.cluster.kubectl.make_namespace(self.cluster.namespace)
        self.cluster.apply()
        self.cluster.wait_healthy(within=120)

    def set_synchronous(self, wanted: bool) -> None:
        if self.cluster.is_synchronous() == wanted:
            return
        self.cluster.change({"synchronous": {"mode": "on" if wanted else "off"}})
        eventually(lambda: _in_force(self.cluster, wanted), within=60, what=f"synchronous {wanted}")
        self.cluster.wait_healthy(within=60)

    def switch_over(self) -> None:
        self.cluster.annotate("matriarch.dev/switchover", "any")

    def remove(self) -> None:
        self.cluster.delete()
        self.cluster.kubectl.drop_namespace(self.cluster.namespace)


class PatroniCluster(PostgresCluster):
    """The same look at the same kinds of objects; there is no PostgresCluster resource behind it."""

    application = "patroni"
    synchronous = False
    password = ""

    def is_synchronous(self) -> bool:
        return self.synchronous

    def target(self, suffix: str = "") -> Target:
        return Target(self.service_address(suffix), "app", self.password, "app")

    def secret(self, suffix: str) -> dict[str, str]:
        """The credentials in the shape of ours."""
        user = "postgres" if suffix == "-superuser" else "app"
        return {"username": user, "password": self.password, "dbname": "app"}


class Patroni:
    """Patroni 4.1.5 with the settings of its samples: asynchronous, failsafe mode off, ttl 30 s."""

    label = "patroni"

    def __init__(self, kubectl: Kubectl, namespace: str = "bench-patroni") -> None:
        self.cluster = PatroniCluster(kubectl, namespace, "peer")

    def create(self) -> None:
        cluster, kubectl = self.cluster, self.cluster.kubectl
        kubectl.drop_namespace(cluster.namespace, wait=True)
        kubectl.make_namespace(cluster.namespace)
        cluster.password = secrets.token_hex(16)
        data = {"password": base64.b64encode(cluster.password.encode()).decode()}
        kubectl.apply(
            {"apiVersion": CORE, "kind": "Secret", "metadata": {"name": "peer"}, "data": data},
            namespace=cluster.namespace,
        )
        kubectl("apply", "-n", cluster.namespace, "-f", str(ROOT / "bench" / "patroni" / "manifests.yaml"))
        cluster.wait_healthy(within=240)
        with psycopg.connect(
            host=cluster.service_address(),
            user="postgres",
            password=cluster.password,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            verifier = connection.pgconn.encrypt_password(cluster.password.encode(), b"app", b"scram-sha-256").decode()
            connection.execute(f"create role app login password '{verifier}'")
            connection.execute("create database app owner app")

    def set_synchronous(self, wanted: bool) -> None:
        if self.cluster.synchronous == wanted:
            return
        self._rest("PATCH", "config", {"synchronous_mode": wanted})
        self.cluster.synchronous = wanted
        eventually(lambda: _in_force(self.cluster, wanted), within=60, what=f"synchronous {wanted}")
        self.cluster.wait_healthy(within=60)

    def switch_over(self) -> None:
        candidate = next(pod for pod, role in sorted(self.cluster.roles().items()) if role == "replica")
        self._rest("POST", "switchover", {"leader": self.cluster.primary(), "candidate": candidate})

    def remove(self) -> None:
        self.cluster.kubectl.drop_namespace(self.cluster.namespace, wait=True)

    def _rest(self, method: str, path: str, body: dict[str, object]) -> None:
        url = f"http://{self.cluster.address(self.cluster.primary())}:8008/{path}"
        request = urllib.request.Request(
            url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60):
            return


def _in_force(cluster: PostgresCluster, wanted: bool) -> None:
    names = cluster.sql("show synchronous_standby_names", superuser=True)[0][0]
    if bool(names) != wanted:
        raise NotYet(f"synchronous_standby_names is {names!r}")


def settle(system: System, instances: int = 3) -> str:
    """Healthy for a few seconds on end; returns the primary."""
    deadline = time.monotonic() + 300
    while True:
        primary = system.cluster.wait_healthy(instances, within=240)
        time.sleep(3)
        if system.cluster.wait_healthy(instances, within=120) == primary:
            return primary
        if time.monotonic() > deadline:
            raise TimedOut("the primary keeps changing")
