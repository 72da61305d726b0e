"""A PostgresCluster under test: create it, look at it, speak SQL to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import psycopg

from e2e.kubectl import CORE, OURS, Absent, Kubectl, Object, annotations_of, labels_of, load_json
from e2e.probe.process import Probe, Target
from e2e.shell import NotYet, eventually

PLURAL = "postgresclusters"
IDENTITY = "select system_identifier from pg_control_system()"
"""Asks which database this is: it stays the same however often its members are replaced."""


def manifest(name: str, **spec: Any) -> Object:
    """A small cluster; keyword arguments replace spec fields."""
    small = {"requests": {"cpu": "50m", "memory": "128Mi"}}
    base: Object = {"instances": 3, "storage": {"size": "1Gi", "reclaimPolicy": "Delete"}, "resources": small}
    return {"apiVersion": OURS, "kind": "PostgresCluster", "metadata": {"name": name}, "spec": base | spec}


class PostgresCluster:
    """One cluster by namespace and name. Waits are bounded and say what was missing.

    `application` is the pods' label of that name; what is not about our own resource works for any agent that keeps
    the same objects.
    """

    application = "matriarch"

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self.kubectl, self.namespace, self.name = kubectl, namespace, name

    # Writing

    def apply(self, **spec: Any) -> None:
        """Create it, or change what the keyword arguments say."""
        self.kubectl.apply(manifest(self.name, **spec), namespace=self.namespace)

    def change(self, patch: Object) -> None:
        """Merge-patch the spec."""
        self.kubectl("patch", "pgc", self.name, "-n", self.namespace, "--type=merge", "-p", json.dumps({"spec": patch}))

    def annotate(self, key: str, value: str) -> None:
        """`kubectl annotate`."""
        self.kubectl("annotate", "pgc", self.name, "-n", self.namespace, "--overwrite", f"{key}={value}")

    def delete(self, within: float = 90.0) -> None:
        """Delete it and wait until it and its pods are gone."""
        self.kubectl("delete", "pgc", self.name, "-n", self.namespace, "--wait=false")
        eventually(self._gone, within=within, what=f"deletion of {self.name}")

    def _gone(self) -> None:
        try:
            self.resource()
        except Absent:
            if names := [pod["metadata"]["name"] for pod in self.pods()]:
                raise NotYet(f"pods {names} are there") from None
            return
        raise NotYet("the PostgresCluster is still there")

    def delete_pod(self, pod: str, *, force: bool = False) -> None:
        """`kubectl delete pod`, without waiting."""
        how = ["--grace-period=0", "--force"] if force else []
        self.kubectl("delete", "pod", pod, "-n", self.namespace, "--wait=false", *how)

    # Looking

    def resource(self) -> Object:
        """The PostgresCluster. Raises Absent."""
        return self.kubectl.get(OURS, PLURAL, self.name, namespace=self.namespace)

    def status(self) -> Object:
        """Its status, empty when there is none yet."""
        found: Object = self.resource().get("status") or {}
        return found

    def pods(self) -> list[Object]:
        """Its pods by name."""
        labels = f"application={self.application},cluster-name={self.name}"
        found = self.kubectl.items(CORE, "pods", namespace=self.namespace, labels=labels)
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def pod(self, name: str) -> Object:
        """One pod. Raises Absent."""
        return self.kubectl.get(CORE, "pods", name, namespace=self.namespace)

    def lock(self) -> dict[str, str]:
        """The lock's annotations."""
        return annotations_of(self.kubectl.get(CORE, "endpoints", self.name, namespace=self.namespace))

    def roles(self) -> dict[str, str]:
        """Pod name -> role label, for pods that have one."""
        return {pod["metadata"]["name"]: labels_of(pod)["role"] for pod in self.pods() if "role" in labels_of(pod)}

    def primary(self) -> str:
        """The member that the lock names and whose label agrees. Raises NotYet."""
        leader = self.lock().get("leader")
        if not leader or self.roles().get(leader) != "primary":
            raise NotYet(f"the lock names {leader!r}, the labels say {self.roles()}")
        return leader

    def address(self, pod: str) -> str:
        """A pod's address. Raises NotYet."""
        found = self.pod(pod).get("status", {}).get("podIP")
        if not found:
            raise NotYet(f"{pod} has no address")
        return str(found)

    def node(self, pod: str) -> str:
        """The node that a pod runs on."""
        return str(self.pod(pod)["spec"]["nodeName"])

    def container_id(self, pod: str) -> str:
        """The database container's id, without the runtime's prefix."""
        statuses = self.pod(pod)["status"]["containerStatuses"]
        found = next(one["containerID"] for one in statuses if one["name"] == "postgres")
        return str(found).partition("://")[2]

    def restarts(self, pod: str) -> int:
        """How often the database container was restarted."""
        statuses = self.pod(pod)["status"].get("containerStatuses", [])
        return sum(int(one["restartCount"]) for one in statuses)

    def service_address(self, suffix: str = "") -> str:
        """The address of `<cluster><suffix>`."""
        service = self.kubectl.get(CORE, "services", self.name + suffix, namespace=self.namespace)
        return str(service["spec"]["clusterIP"])

    def events(self) -> list[str]:
        """Events of the namespace."""
        return self.kubectl.events(self.namespace)

    # Waiting

    def wait_healthy(self, instances: int = 3, *, within: float = 90.0) -> str:
        """Wait for one primary that holds the lock, all others ready and streaming from it, and a synchronous replica
        where the mode asks for one. Returns the primary's name."""
        return eventually(lambda: self._healthy(instances), within=within, what=f"{self.name} with {instances} members")

    def _healthy(self, instances: int) -> str:
        pods = self.pods()
        if len(pods) != instances:
            raise NotYet(f"{len(pods)} pods instead of {instances}")
        for pod in pods:
            name = pod["metadata"]["name"]
            conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
            if pod["metadata"].get("deletionTimestamp") or conditions.get("Ready") != "True":
                raise NotYet(f"{name} is not ready: {load_json(annotations_of(pod).get('status'))}")
        primary = self.primary()
        states = {pod["metadata"]["name"]: load_json(annotations_of(pod).get("status")) or {} for pod in pods}
        timeline = states[primary].get("timeline")
        for name, state in states.items():
            if state.get("timeline") != timeline or (name != primary and state.get("replication_state") != "streaming"):
                raise NotYet(f"{name} does not stream on timeline {timeline}: {state}")
        if sorted(self.roles().values()) != ["primary", *["replica"] * (instances - 1)]:
            raise NotYet(f"the labels say {self.roles()}")
        if instances > 1 and self.is_synchronous():
            self.synchronous_replicas()
        return primary

    def is_synchronous(self) -> bool:
        """Whether a synchronous replica is asked for."""
        return (self.resource()["spec"].get("synchronous") or {}).get("mode", "on") in ("on", "quorum", True)

    def synchronous_replicas(self) -> list[str]:
        """Who may be promoted without a loss. Raises NotYet when there is none."""
        sync = annotations_of(self.kubectl.get(CORE, "endpoints", f"{self.name}-sync", namespace=self.namespace))
        if not sync.get("sync_standby"):
            raise NotYet(f"no synchronous replica: {sync}")
        return sync["sync_standby"].split(",")

    def wait_primary_other_than(self, former: str, *, within: float) -> str:
        """Wait until somebody else is primary. Returns the name."""

        def another() -> str:
            found = self.primary()
            if found == former:
                raise NotYet(f"{former} is still primary")
            return found

        return eventually(another, within=within, what=f"another primary than {former}")

    def wait_routed(self, within: float = 15.0) -> None:
        """Wait until the primary's Service leads to the primary: nodes follow its endpoints after a while."""

        def look() -> None:
            wanted, found = self.address(self.primary()), self.ask("select host(inet_server_addr())")
            if found != [(wanted,)]:
                raise NotYet(f"the Service of {self.name} leads to {found} instead of {wanted}")

        eventually(look, within=within, what=f"the Service of {self.name} leads to its primary")

    def wait_replaced(self, pod: str, container: str, within: float = 30.0) -> None:
        """Wait until another database container runs in place of one that was killed. Until then the cluster may look
        whole because nobody has noticed."""

        def look() -> None:
            statuses = self.pod(pod)["status"].get("containerStatuses", [])
            if not any(one["name"] == "postgres" and one.get("containerID") for one in statuses):
                raise NotYet(f"{pod} has no container")
            if self.container_id(pod) == container:
                raise NotYet(f"{pod} still tells of its former container")

        eventually(look, within=within, what=f"another container of {pod}")

    def wait_event(self, *needles: str, within: float = 30.0) -> str:
        """Wait for an event that contains all of these texts, in any case of letters. Returns it."""

        def look() -> str:
            found = self.events()
            for event in found:
                if all(needle.lower() in event.lower() for needle in needles):
                    return event
            raise NotYet(f"events: {found[-12:]}")

        return eventually(look, within=within, what=f"an event with {needles}", every=0.5)

    # SQL

    def secret(self, suffix: str) -> dict[str, str]:
        """A Secret's values in clear."""
        data: Mapping[str, str] = self.kubectl.get(CORE, "secrets", self.name + suffix, namespace=self.namespace)[
            "data"
        ]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def target(self, suffix: str = "") -> Target:
        """Where an application writes: the Service `<cluster><suffix>`."""
        app = self.secret("-app")
        return Target(self.service_address(suffix), app["username"], app["password"], app["dbname"])

    def probe(self) -> Probe:
        """The write probe through the primary's Service, with direct writes to every member."""
        watch = f"{self.namespace}/{self.name}"
        return Probe(self.target(), watch=watch, env=self.kubectl.env, application=self.application)

    def sql(self, query: str, *, host: str | None = None, superuser: bool = False) -> list[tuple[Any, ...]]:
        """Run one statement through the primary's Service, or at an address. Raises psycopg.Error."""
        app = self.secret("-app")
        user, password = (app["username"], app["password"])
        if superuser:
            found = self.secret("-superuser")
            user, password = found["username"], found["password"]
        with psycopg.connect(
            host=host or self.service_address(),
            user=user,
            password=password,
            dbname=app["dbname"],
            connect_timeout=3,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(query)
            return list(cursor.fetchall()) if cursor.description else []

    def ask(self, query: str, *, host: str | None = None, superuser: bool = False) -> list[tuple[Any, ...]]:
        """`sql` within a wait: raises NotYet when it fails."""
        try:
            return self.sql(query, host=host, superuser=superuser)
        except psycopg.Error as error:
            raise NotYet(f"{query} at {host or self.name}: {error}") from error

    def eventually_sql(
        self, query: str, expected: list[tuple[Any, ...]], *, host: str = "", superuser: bool = False, within: float
    ) -> None:
        """Wait until a query answers `expected`, at an address or through the primary's Service."""

        def look() -> None:
            found = self.ask(query, host=host or None, superuser=superuser)
            if found != expected:
                raise NotYet(f"{query}: {found} instead of {expected}")

        eventually(look, within=within, what=query)
