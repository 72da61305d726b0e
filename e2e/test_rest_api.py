"""A REST API with https, client certificates and a password: probes, operator, members and patronictl still get on."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from pathlib import Path

import pytest
import requests

from e2e.clients.certificates import issue
from e2e.clients.patronictl import Patronictl
from e2e.cluster import ClusterProvider, Fault
from e2e.kubectl import Kubectl, Object
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually

LOGIN = {"username": "admin", "password": "s3cret"}


def secret(name: str, content: dict[str, str]) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def certificates(folder: Path, hosts: list[str]) -> Object:
    issue(folder, hosts)
    return secret("rest-tls", {name: (folder / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl, namespace: str, folder: Path) -> PostgresCluster:
    """A cluster that was plain first, and has become protected while it ran."""
    made = PostgresCluster(kubectl, namespace, "demo")
    made.apply(instances=2)
    made.wait_healthy(2)
    secrets = {"tls": {"secretName": "rest-tls"}, "auth": {"secretName": "rest-login"}}
    made.change({"restApi": {**secrets, "verifyClient": "required"}})
    made.wait_event("there is no Secret rest-tls", within=30)
    for pod in ("demo-0", "demo-1"):
        plain = requests.get(f"http://{made.address(pod)}:8008/liveness", timeout=5)
        assert plain.status_code == 200, "without the Secrets, the members stay as they are"
    kubectl.apply(certificates(folder, ["demo"]), secret("rest-login", LOGIN), namespace=namespace)
    eventually(lambda: https_only(made, folder), within=180, what="all members on https", every=1.0)
    # Then once more: certificates are required only when everybody has one.
    eventually(lambda: required(made), within=180, what="members that require certificates", every=1.0)
    made.wait_healthy(2, within=90)
    return made


def test_patronictl_and_the_operator_show_what_is_asked(cluster: PostgresCluster, folder: Path) -> None:
    shown = {
        "PATRONI_CTL_CACERT": str(folder / "ca.crt"),
        "PATRONI_CTL_CERTFILE": str(folder / "tls.crt"),
        "PATRONI_CTL_KEYFILE": str(folder / "tls.key"),
        # With a certificate of its own it verifies the chain and leaves the name out: it asks pod addresses.
        "PATRONI_CTL_INSECURE": "true",
        "PATRONI_RESTAPI_USERNAME": LOGIN["username"],
        "PATRONI_RESTAPI_PASSWORD": LOGIN["password"],
    }
    kubeconfig = cluster.kubectl.env["KUBECONFIG"]
    ctl = Patronictl(kubeconfig, cluster.namespace, "demo", shown)
    former = ctl.wait_healthy(2)
    assert "Successfully switched over" in ctl("switchover", "demo", "--leader", former, "--force")
    assert ctl.wait_healthy(2) != former
    nobody = Patronictl(kubeconfig, cluster.namespace, "demo")
    assert "Success" not in nobody.run("restart", "demo", former, "--force")[1]
    # The operator restarts members through the same API.
    cluster.change({"parameters": {"max_connections": 110}})
    for pod in ("demo-0", "demo-1"):
        cluster.eventually_sql("show max_connections", [("110",)], host=cluster.address(pod), within=90)
    cluster.wait_healthy(2)


@pytest.mark.needs(Fault.API_PAUSE)
def test_failsafe_mode_works_over_https(cluster: PostgresCluster, provider: ClusterProvider) -> None:
    primary = cluster.wait_healthy(2)
    with cluster.probe() as probe:
        provider.api_pause()
        try:
            time.sleep(25)
        finally:
            provider.api_resume()
        time.sleep(5)
        assert cluster.wait_healthy(2) == primary
        report = probe.finish()
    report.assert_nothing_lost()
    assert report.longest_gap_s < 1.0, f"no write was acknowledged for {report.longest_gap_s} s"


def test_a_new_certificate_is_served_without_a_restart(cluster: PostgresCluster, folder: Path) -> None:
    restarts, before = [cluster.restarts(pod) for pod in ("demo-0", "demo-1")], serial(cluster, folder)
    cluster.kubectl.apply(certificates(folder, ["demo"]), namespace=cluster.namespace)
    eventually(lambda: renewed(cluster, folder, before), within=150, what="the new certificate", every=1.0)
    assert [cluster.restarts(pod) for pod in ("demo-0", "demo-1")] == restarts
    cluster.wait_healthy(2)


def https_only(cluster: PostgresCluster, folder: Path) -> None:
    for pod in cluster.pods():
        host = (pod.get("status") or {}).get("podIP")
        if not host or pod["metadata"].get("deletionTimestamp"):
            raise NotYet(f"{pod['metadata']['name']} is being replaced")
        try:
            requests.get(f"http://{host}:8008/patroni", timeout=3)
        except requests.RequestException:
            served(str(host), folder)
        else:
            raise NotYet(f"{pod['metadata']['name']} serves plain http")


def required(cluster: PostgresCluster) -> None:
    for pod in cluster.pods():
        ports = [one["containerPort"] for one in pod["spec"]["containers"][0]["ports"]]
        if 8009 not in ports or pod["metadata"].get("deletionTimestamp"):
            raise NotYet(f"{pod['metadata']['name']} has the ports {ports}")
    if cluster.status().get("phase") != "Running":
        raise NotYet(f"{cluster.status()}")


def served(host: str, folder: Path) -> str:
    """The serial number of the certificate that is served at a host, asked for with one of our own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    try:
        with socket.create_connection((host, 8008), timeout=3) as raw, context.wrap_socket(raw) as wrapped:
            found = wrapped.getpeercert() or {}
            return str(found["serialNumber"])
    except OSError as error:
        raise NotYet(f"{host}: {error}") from error


def serial(cluster: PostgresCluster, folder: Path) -> str:
    return served(cluster.address("demo-0"), folder)


def renewed(cluster: PostgresCluster, folder: Path, before: str) -> None:
    for pod in ("demo-0", "demo-1"):
        if served(cluster.address(pod), folder) == before:
            raise NotYet(f"{pod} serves the former certificate")
