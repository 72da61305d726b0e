"""Apply a PostgresCluster and use it: members, Services, DNS, labels, status."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import requests

from e2e import images
from e2e.figures import Figures
from e2e.hostile import LOUD
from e2e.kubectl import CORE, Kubectl, annotations_of, load_json
from e2e.ordeal import LEASE_S, ordeal
from e2e.postgres_cluster import PostgresCluster
from e2e.processes import Processes
from e2e.shell import NotYet, eventually

READY_WITHIN_S = 30.0
AGENT_AND_INIT_KB = 45_000
"""What both may hold together, in every member."""


@pytest.fixture(scope="module")
def created(kubectl: Kubectl, namespace: str) -> Iterator[tuple[PostgresCluster, float]]:
    """A new cluster and how many seconds it took until three members were ready and streaming."""
    cluster = PostgresCluster(kubectl, namespace, "demo")
    started = time.monotonic()
    cluster.apply(podAnnotations={"example.com/note": LOUD}, serviceAnnotations={"example.com/note": LOUD})
    cluster.wait_healthy(within=120)
    yield cluster, time.monotonic() - started


@pytest.fixture(scope="module")
def cluster(created: tuple[PostgresCluster, float]) -> PostgresCluster:
    return created[0]


def test_three_members_are_ready_soon(created: tuple[PostgresCluster, float]) -> None:
    cluster, seconds = created
    assert seconds < READY_WITHIN_S, f"{seconds:.1f} s from apply to three streaming members"
    assert [cluster.restarts(pod["metadata"]["name"]) for pod in cluster.pods()] == [0, 0, 0]


def test_hostile_text_that_may_be_there_arrives_as_it_was_written(cluster: PostgresCluster) -> None:
    services = cluster.kubectl.items(CORE, "services", namespace=cluster.namespace, labels="cluster-name=demo")
    noted = [annotations_of(one).get("example.com/note") for one in (*cluster.pods(), *services)]
    assert noted.count(LOUD) == 3 + 4, "the pods and every Service but that of the settings object"


def test_members_are_on_different_nodes(cluster: PostgresCluster) -> None:
    assert len({cluster.node(pod["metadata"]["name"]) for pod in cluster.pods()}) == 3


def test_labels_follow_the_roles(cluster: PostgresCluster) -> None:
    primary = cluster.primary()
    for pod, role in cluster.roles().items():
        in_recovery = cluster.sql("select pg_is_in_recovery()", host=cluster.address(pod))
        assert (role, in_recovery) == (("primary", [(False,)]) if pod == primary else ("replica", [(True,)]))


def test_services_lead_where_they_say(cluster: PostgresCluster) -> None:
    cluster.wait_routed()
    cluster.sql("create table notes (n int primary key); insert into notes values (1)")
    replicas = [(cluster.address(pod),) for pod, role in cluster.roles().items() if role == "replica"]
    for suffix, writable in (("", True), ("-ro", False)):
        host = cluster.service_address(suffix)
        cluster.eventually_sql("select n from notes", [(1,)], host=host, within=15)
        for _ in range(6):
            assert cluster.sql("select pg_is_in_recovery()", host=host) == [(not writable,)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        cluster.sql("insert into notes values (2)", host=cluster.service_address("-ro"))
    members = {*replicas, (cluster.address(cluster.primary()),)}
    everybody = cluster.service_address("-r")

    def all_asked() -> None:
        # A member is routed to some moments after it is ready.
        asked = {cluster.sql("select host(inet_server_addr())", host=everybody)[0] for _ in range(60)}
        if asked != members:
            raise NotYet(f"{asked} instead of {members}")

    eventually(all_asked, within=15, what="the -r Service leads to every member")


def test_psql_from_a_pod_by_dns_name(cluster: PostgresCluster, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(_client(cluster.name), namespace=namespace)

    def succeeded() -> None:
        phase = kubectl.get(CORE, "pods", "client", namespace=namespace)["status"].get("phase")
        if phase != "Succeeded":
            raise NotYet(f"{phase}: {kubectl('logs', '-n', namespace, 'client')}")

    eventually(succeeded, within=40, what="psql in a pod")
    answers = kubectl("logs", "-n", namespace, "client").split()
    assert answers == ["f", "t", "f"], "the uri of the Secret, <cluster>-ro by short name, the primary by its full name"


def _client(name: str) -> dict[str, object]:
    script = (
        'ask() { psql -X -At "$@" -c "select pg_is_in_recovery()"; }\n'
        'ask "$URI"\n'
        f'export PGPASSWORD="$PASSWORD"; ask -h {name}-ro -U "$NAME" -d "$DB"\n'
        f'ask -h {name}.$NAMESPACE.svc.cluster.local -U "$NAME" -d "$DB"\n'
    )
    keys = {"URI": "uri", "PASSWORD": "password", "NAME": "username", "DB": "dbname"}
    env: list[dict[str, object]] = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": f"{name}-app", "key": key}}}
        for variable, key in keys.items()
    ]
    env.append({"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}})
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "client",
        "image": images.POSTGRES,
        "command": ["bash", "-euc", script],
        "env": env,
        "securityContext": locked,
    }
    security = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": CORE,
        "kind": "Pod",
        "metadata": {"name": "client"},
        "spec": {"restartPolicy": "OnFailure", "securityContext": security, "containers": [container]},
    }


def test_kubectl_get_shows_the_state(cluster: PostgresCluster, kubectl: Kubectl, namespace: str) -> None:
    primary = cluster.primary()

    def shown() -> None:
        header, row = kubectl("get", "pgc", "-n", namespace).splitlines()[:2]
        if [header.split()[:3], row.split()[:4]] != [["NAME", "INSTANCES", "READY"], [cluster.name, "3", "3", primary]]:
            raise NotYet(f"{header}\n{row}")
        # All members may be ready, and one of them not seen to stream yet.
        found = next(one for one in cluster.status()["conditions"] if one["type"] == "Ready")
        if (found["status"], found["observedGeneration"]) != ("True", cluster.resource()["metadata"]["generation"]):
            raise NotYet(f"{found}")

    eventually(shown, within=15, what="the printer columns and the condition")


@pytest.mark.parametrize(
    ("version", "plural", "name"),
    [(CORE, "services", "demo-ro"), (CORE, "services", "demo"), ("policy/v1", "poddisruptionbudgets", "demo")],
)
def test_what_is_deleted_comes_back(
    cluster: PostgresCluster, kubectl: Kubectl, namespace: str, version: str, plural: str, name: str
) -> None:
    kubectl("delete", plural, name, "-n", namespace)
    eventually(lambda: kubectl.get(version, plural, name, namespace=namespace), within=20, what=f"{name} again")
    assert cluster.wait_healthy() == cluster.primary()
    cluster.eventually_sql("select pg_is_in_recovery()", [(False,)], within=30)


@pytest.mark.parametrize("record", ["demo", "demo-config"])
def test_the_primary_makes_its_lock_and_the_settings_again_as_they_were(
    cluster: PostgresCluster, kubectl: Kubectl, namespace: str, figures: Figures, record: str
) -> None:
    """What a person set with patronictl is in no spec: nobody but the members knows it."""
    place = ("endpoints", "demo-config", "-n", namespace)
    settings = settings_of(kubectl, namespace) | {"primary_start_timeout": 299}
    kubectl("annotate", *place, "--overwrite", f"config={json.dumps(settings)}")
    primary = cluster.wait_healthy()
    eventually(lambda: _heard(cluster, primary, settings), within=15, what="a primary that has heard of the settings")
    with ordeal(cluster, figures, f"Endpoints {record} deleted", within=LEASE_S):
        kubectl("delete", "endpoints", record, "-n", namespace)
        eventually(
            lambda: kubectl.get(CORE, "endpoints", record, namespace=namespace), within=20, what=f"{record} again"
        )
    assert cluster.primary() == primary
    assert settings_of(kubectl, namespace) == settings


def _heard(cluster: PostgresCluster, member: str, settings: dict[str, Any]) -> None:
    """What has not reached a member by then, it cannot write again."""
    try:
        told = requests.get(f"http://{cluster.address(member)}:8008/config", timeout=5).json()
    except requests.RequestException as error:
        raise NotYet(f"{member}: {error}") from error
    if told != settings:
        raise NotYet(f"{member} tells {told}")


def settings_of(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    found = kubectl.get(CORE, "endpoints", "demo-config", namespace=namespace)
    settings: dict[str, Any] = load_json(annotations_of(found)["config"])
    return settings


def test_agent_and_init_are_small(cluster: PostgresCluster) -> None:
    """In the image's own Python, with everything that a member's life has brought so far."""
    held = {}
    for pod in cluster.pods():
        name = pod["metadata"]["name"]
        processes = Processes(cluster, name)
        held[name] = {"init": processes.resident_kb(1), "agent": processes.resident_kb(processes.agent())}
    print(f"resident kB: {held}, the primary is {cluster.primary()}")
    large = {name: figures for name, figures in held.items() if sum(figures.values()) > AGENT_AND_INIT_KB}
    assert not large
