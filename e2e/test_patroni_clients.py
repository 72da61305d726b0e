"""Patroni's own clients on a real cluster: patronictl, check_patroni, HAProxy, libpq with several hosts, Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import yaml

from e2e import images
from e2e.clients.check_patroni import CRITICAL, OK, CheckPatroni
from e2e.clients.haproxy import HAProxy
from e2e.clients.patronictl import Patronictl, PatronictlInPod
from e2e.clients.prometheus import Prometheus, check_metrics
from e2e.clients.psql import who_answers
from e2e.cluster import ClusterProvider
from e2e.kubectl import CORE, Kubectl
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually

FAR = "2099-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl, namespace: str) -> Iterator[PostgresCluster]:
    made = PostgresCluster(kubectl, namespace, "demo")
    made.apply()
    made.wait_healthy(within=90)
    yield made


@pytest.fixture
def ctl(cluster: PostgresCluster) -> Patronictl:
    """On this machine."""
    password = {"PGPASSWORD": cluster.secret("-app")["password"]}
    cluster.wait_healthy()
    return Patronictl(cluster.kubectl.env["KUBECONFIG"], cluster.namespace, cluster.name, password)


@pytest.fixture(scope="module")
def client_pod(cluster: PostgresCluster, kubectl: Kubectl, provider: ClusterProvider) -> str:
    """A pod with Patroni's programs and the members' service account."""
    provider.load(images.build(provider, [images.PATRONI_IMAGE]))
    kubectl.apply(_client(cluster.name), namespace=cluster.namespace)

    def runs() -> None:
        if (
            phase := kubectl.get(CORE, "pods", "client", namespace=cluster.namespace)["status"].get("phase")
        ) != "Running":
            raise NotYet(f"{phase}")

    eventually(runs, within=40, what="a pod with patronictl")
    return "client"


def _client(account: str) -> dict[str, object]:
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {
        "name": "client",
        "image": images.PATRONI,
        "command": ["sleep", "3600"],
        "securityContext": locked,
    }
    security = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": 0,
        "securityContext": security,
        "containers": [container],
    }
    return {"apiVersion": CORE, "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}


@pytest.fixture(params=["on this machine", "in a pod"])
def anywhere(request: pytest.FixtureRequest, cluster: PostgresCluster, ctl: Patronictl) -> Patronictl:
    """Both places from which people call it."""
    if request.param == "on this machine":
        return ctl
    password = {"PGPASSWORD": cluster.secret("-app")["password"]}
    pod = request.getfixturevalue("client_pod")
    return PatronictlInPod(cluster.kubectl, cluster.namespace, pod, cluster.name, password)


def addresses(cluster: PostgresCluster) -> dict[str, str]:
    return {pod["metadata"]["name"]: str(pod["status"]["podIP"]) for pod in cluster.pods()}


def rest(cluster: PostgresCluster, member: str, path: str) -> requests.Response:
    """Raises NotYet when there is no answer."""
    try:
        return requests.get(f"http://{cluster.address(member)}:8008{path}", timeout=5)
    except requests.RequestException as error:
        raise NotYet(f"{member}: {error}") from error


def whole(cluster: PostgresCluster, ctl: Patronictl) -> str:
    """Wait until all is well, and patronictl says so too. It is asked once: to poll with it costs a processor."""
    primary = cluster.wait_healthy()
    assert ctl.leader() == primary
    return primary


def synchronous(ctl: Patronictl) -> str:
    return next(name for name, row in ctl.members().items() if row["Role"] == "Sync Standby")


def test_what_patronictl_shows(cluster: PostgresCluster, anywhere: Patronictl) -> None:
    ctl = anywhere
    rows = json.loads(ctl("list", "-f", "json"))
    assert {row["Member"]: row["Host"] for row in rows} == addresses(cluster)
    assert sorted(row["Role"] for row in rows) == ["Leader", "Replica", "Sync Standby"]
    assert [row["Member"] for row in yaml.safe_load(ctl("list", "-f", "yaml"))] == [row["Member"] for row in rows]
    assert len(ctl("list", "-f", "tsv").splitlines()) == 4
    for shown in (ctl("list", "-e", "-t"), ctl("topology")):
        assert all(row["Member"] in shown and row["Host"] in shown for row in rows)
    said = ctl("version", cluster.name)
    assert all(f"{row['Member']}: Patroni 4.1.5 PostgreSQL 17." in said for row in rows)
    settings = yaml.safe_load(ctl("show-config"))
    assert settings["ttl"] == 9 and settings == rest(cluster, rows[0]["Member"], "/config").json()
    recovery = ["query", "-c", "select pg_is_in_recovery()", "-U", "app", "-d", "app", "--format", "tsv"]
    assert ctl(*recovery, "-r", "primary").split() == ["pg_is_in_recovery", "False"]
    assert ctl(*recovery, "-r", "replica").split() == ["pg_is_in_recovery", "True"]


def test_settings_pause_and_reload(cluster: PostgresCluster, anywhere: Patronictl) -> None:
    ctl = anywhere
    timeout = yaml.safe_load(ctl("show-config")).get("primary_start_timeout", 300) + 1
    assert "Configuration changed" in ctl("edit-config", "--force", "-s", f"primary_start_timeout={timeout}")
    assert yaml.safe_load(ctl("show-config"))["primary_start_timeout"] == timeout
    assert "Success: cluster management is paused" in ctl("pause", "--wait")
    assert "Maintenance mode: on" in ctl("list")
    assert "Reload request received for member" in ctl("reload", cluster.name, "--force")
    assert "Maintenance mode: on" in ctl("list"), "the operator leaves a person's pause alone"
    assert "Success: cluster management is resumed" in ctl("resume", "--wait")
    assert "Maintenance mode" not in ctl("list")


def test_restarts_now_for_what_is_pending_and_at_a_time(cluster: PostgresCluster, anywhere: Patronictl) -> None:
    ctl = anywhere
    leader, replicas = ctl.leader(), ctl.replicas()
    replica = replicas[0]
    started = rest(cluster, leader, "/patroni").json()["postmaster_start_time"]
    assert f"Success: restart on member {leader}" in ctl("restart", cluster.name, leader, "--force")
    assert whole(cluster, ctl) == leader
    assert rest(cluster, leader, "/patroni").json()["postmaster_start_time"] > started

    said = ctl("restart", cluster.name, "--force", "--scheduled", FAR, "--role", "replica")
    assert said.count("Success: restart scheduled on member") == 2
    # Each writes its own down: only what is listed can be flushed.
    eventually(lambda: _planned(ctl, replicas), within=15, what="both planned restarts in the list")
    assert ctl("flush", cluster.name, "restart", "--force").count("Success: flush scheduled restart") == 2
    started = rest(cluster, replica, "/patroni").json()["postmaster_start_time"]
    soon = (datetime.now(UTC) + timedelta(seconds=12)).isoformat()
    assert "Success: restart scheduled" in ctl("restart", cluster.name, replica, "--force", "--scheduled", soon)

    def restarted() -> None:
        shown = rest(cluster, replica, "/patroni").json()
        if shown.get("postmaster_start_time", started) == started or "scheduled_restart" in shown:
            raise NotYet(f"{shown}")

    eventually(restarted, within=40, what="the planned restart")
    whole(cluster, ctl)

    present = int(cluster.sql("show max_connections")[0][0])
    wanted = present + 20
    cluster.change({"paused": True, "parameters": {"max_connections": wanted}})
    eventually(lambda: _pending(ctl, 3), within=30, what="restarts that are pending")
    assert f"max_connections: {present}->{wanted}" in ctl("list", "-e")
    said = ctl("restart", cluster.name, "--pending", "--force")
    assert said.count("Success: restart on member") == 3
    eventually(lambda: _pending(ctl, 0), within=30, what="nothing pending any more")
    cluster.change({"paused": False})
    whole(cluster, ctl)


def _planned(ctl: Patronictl, names: list[str]) -> None:
    found = {name: row.get("Scheduled restart") for name, row in ctl.members().items()}
    if any(found[name] != FAR for name in names):
        raise NotYet(f"{found}")


def _pending(ctl: Patronictl, count: int) -> None:
    waiting = [name for name, row in ctl.members().items() if row.get("Pending restart")]
    if len(waiting) != count:
        raise NotYet(f"pending restart: {waiting}")


def test_switchover_failover_history_and_reinit(cluster: PostgresCluster, anywhere: Patronictl) -> None:
    ctl = anywhere
    former, candidate = ctl.leader(), synchronous(ctl)
    said = ctl("switchover", cluster.name, "--leader", former, "--candidate", candidate, "--force")
    assert f'Successfully switched over to "{candidate}"' in said
    assert whole(cluster, ctl) == candidate
    ctl.wait_last_in_history(candidate)

    said = ctl("switchover", cluster.name, "--leader", candidate, "--force", "--scheduled", FAR)
    assert "Switchover scheduled" in said
    assert f"Switchover scheduled at: {FAR}" in ctl("list")
    assert "Success: scheduled switchover deleted" in ctl("flush", cluster.name, "switchover", "--force")
    soon = (datetime.now(UTC) + timedelta(seconds=10)).astimezone().isoformat()
    assert "Switchover scheduled" in ctl(
        "switchover", cluster.name, "--leader", candidate, "--force", "--scheduled", soon
    )
    cluster.wait_primary_other_than(candidate, within=40)
    leader = whole(cluster, ctl)

    successor = synchronous(ctl)
    said = ctl("failover", cluster.name, "--candidate", successor, "--force")
    assert f'Successfully failed over to "{successor}"' in said
    assert whole(cluster, ctl) == successor
    assert f"Success: reinitialize for member {leader}" in ctl("reinit", cluster.name, leader, "--force", "--wait")
    whole(cluster, ctl)
    cluster.wait_event("Cloned", leader)


def test_every_check_of_check_patroni(cluster: PostgresCluster, ctl: Patronictl, tmp_path: Path) -> None:
    hosts, members, leader = addresses(cluster), ctl.members(), ctl.leader()
    everybody = CheckPatroni([f"http://{host}:8008" for host in hosts.values()])
    state = str(tmp_path / "state")
    everybody("cluster_config_has_changed", "-s", state, "--save")
    for argv in (
        ["cluster_node_count", "--critical", "3:", "--healthy-critical", "3:"],
        ["cluster_has_leader"],
        ["cluster_has_replica", "--critical", "2:", "--sync-critical", "1:", "--max-lag", "16MB"],
        ["cluster_is_in_maintenance"],
        ["cluster_has_scheduled_action"],
        ["cluster_config_has_changed", "-s", state],
    ):
        everybody.wait_told(OK, *argv)
    assert everybody("cluster_node_count", "--critical", "4:")[0] == CRITICAL
    for name, host in hosts.items():
        one, leads = CheckPatroni([f"http://{host}:8008"]), name == leader
        timeline = str(members[name]["TL"])
        is_sync = members[name]["Role"] == "Sync Standby"
        for argv, expected in (
            (["node_is_alive"], OK),
            (["node_patroni_version", "--patroni-version", "4.1.5"], OK),
            (["node_is_pending_restart"], OK),
            (["node_tl_has_changed", "--timeline", timeline], OK),
            (["node_tl_has_changed", "--timeline", "1000"], CRITICAL),
            (["node_is_primary"], OK if leads else CRITICAL),
            (["node_is_leader"], OK if leads else CRITICAL),
            (["node_is_replica", "--max-lag", "16MB"], CRITICAL if leads else OK),
            (["node_is_replica", "--is-sync"], OK if is_sync else CRITICAL),
            (["node_is_replica", "--is-async"], CRITICAL if leads or is_sync else OK),
        ):
            one.wait_told(expected, *argv)
    ctl("pause", "--wait")
    everybody.wait_told(CRITICAL, "cluster_is_in_maintenance")
    ctl("resume", "--wait")
    ctl("switchover", cluster.name, "--leader", leader, "--force", "--scheduled", FAR)
    everybody.wait_told(CRITICAL, "cluster_has_scheduled_action")
    ctl("flush", cluster.name, "switchover", "--force")


def test_haproxy_and_libpq_follow_a_switchover_and_a_failover(cluster: PostgresCluster, ctl: Patronictl) -> None:
    hosts, app = addresses(cluster), cluster.target()
    listed = ",".join(hosts.values())
    with HAProxy(hosts) as proxy:

        def leads(name: str) -> None:
            found = who_answers(app, port=proxy.primary)
            if found != (False, hosts[name]):
                raise NotYet(f"{found}, {hosts}")

        leader = ctl.leader()
        eventually(lambda: leads(leader), within=15, what="the primary behind HAProxy")
        replicas = {hosts[name] for name in hosts if name != leader}

        def behind_it() -> None:
            # Whoever has not been checked yet counts as well, the leader among the replicas too.
            found = {who_answers(app, port=proxy.replicas) for _ in range(6)}
            if found != {(True, host) for host in replicas}:
                raise NotYet(f"{found}, {hosts}")

        eventually(behind_it, within=15, what="the replicas behind HAProxy")

        ctl("switchover", cluster.name, "--leader", leader, "--force")
        successor = whole(cluster, ctl)
        eventually(lambda: leads(successor), within=15, what="the primary behind HAProxy after a switchover")
        assert who_answers(app, host=listed, attributes="read-write") == (False, hosts[successor])
        assert who_answers(app, host=listed, attributes="prefer-standby")[0] is True

        # Not by force: then the new pod of that name may be back first, and rightly take its lock up again.
        cluster.delete_pod(successor)
        third = cluster.wait_primary_other_than(successor, within=30)
        eventually(lambda: leads(third), within=15, what="the primary behind HAProxy after a failover")
        assert who_answers(app, host=listed, attributes="read-write") == (False, hosts[third])
    cluster.wait_healthy(within=60)


def test_prometheus(cluster: PostgresCluster, ctl: Patronictl) -> None:
    hosts, leader = addresses(cluster), ctl.leader()
    with Prometheus([f"{host}:8008" for host in hosts.values()]) as server:
        timeline = ctl.members()[leader]["TL"]

        def scraped() -> None:
            # A scrape that takes longer than a second fails, and takes a member's values away until the next one.
            up, primary = server.values("up", label="instance"), server.values("patroni_primary")
            if list(up.values()) != [1.0] * 3 or primary != {name: float(name == leader) for name in hosts}:
                raise NotYet(f"{up}, primary: {primary}")
            timelines = server.values("patroni_postgres_timeline")
            replayed = server.values("patroni_xlog_replayed_timestamp")
            replicas = [name for name in hosts if name != leader]
            if timelines.get(leader) != timeline or not all(replayed.get(name, 0) > 1.7e9 for name in replicas):
                raise NotYet(f"timelines: {timelines}, replayed: {replayed}")

        eventually(scraped, within=30, what="what all three members measure", every=0.5)
    for name in hosts:
        assert check_metrics(rest(cluster, name, "/metrics").text) == ""
