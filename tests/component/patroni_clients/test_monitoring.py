"""check_patroni, HAProxy, libpq and Prometheus against real members, before and after their roles change."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from component.patroni_clients.site import CLUSTER, Site
from component.postgres.member import SECRETS
from e2e.clients.check_patroni import CRITICAL, OK, CheckPatroni
from e2e.clients.haproxy import HAProxy
from e2e.clients.patronictl import Patronictl
from e2e.clients.prometheus import Prometheus, check_metrics
from e2e.clients.psql import who_answers
from e2e.probe.process import Target
from e2e.shell import NotYet, eventually

pytestmark = pytest.mark.component


def test_checks_of_the_cluster(ctl: Patronictl, site: Site, tmp_path: Path) -> None:
    check = CheckPatroni([f"http://{address}:8008" for address in site.addresses.values()])
    state = str(tmp_path / "state")
    # Which a member tells as of its last look, while patronictl reads what is written.
    healthy = ("cluster_node_count", "--critical", "3:", "--healthy-critical", "3:")
    check.wait_told(OK, *healthy, within=30)
    assert check("cluster_node_count", "--critical", "4:")[0] == CRITICAL
    assert check("cluster_has_leader")[0] == OK
    replicas = ("cluster_has_replica", "--critical", "2:", "--sync-critical", "1:", "--max-lag", "1MB")
    check.wait_told(OK, *replicas, within=30)
    assert check("cluster_has_replica", "--critical", "3:")[0] == CRITICAL
    assert check("cluster_is_in_maintenance")[0] == OK
    assert check("cluster_has_scheduled_action")[0] == OK
    check("cluster_config_has_changed", "-s", state, "--save")
    assert check("cluster_config_has_changed", "-s", state)[0] == OK
    ctl("edit-config", "--force", "-s", "maximum_lag_on_failover=3145728")
    check.wait_told(CRITICAL, "cluster_config_has_changed", "-s", state, within=30)
    leader = ctl.leader()
    ctl("switchover", CLUSTER, "--leader", leader, "--force", "--scheduled", "2099-01-01T00:00:00+00:00")
    check.wait_told(CRITICAL, "cluster_has_scheduled_action", within=30)
    ctl("flush", CLUSTER, "switchover", "--force")
    ctl("pause", "--wait")
    check.wait_told(CRITICAL, "cluster_is_in_maintenance", within=30)
    ctl("resume", "--wait")


def test_checks_of_a_member(ctl: Patronictl, site: Site) -> None:
    members = ctl.members()
    leader = ctl.leader()
    synchronous = next(name for name, row in members.items() if row["Role"] == "Sync Standby")
    asynchronous = next(name for name, row in members.items() if row["Role"] == "Replica")

    def on(name: str) -> CheckPatroni:
        return CheckPatroni([f"http://{site.addresses[name]}:8008"])

    # The role of each is told as of its own last look.
    on(synchronous).wait_told(OK, "node_is_replica", "--is-sync", within=15)
    on(asynchronous).wait_told(OK, "node_is_replica", "--is-async", within=15)
    for name in members:
        assert on(name)("node_is_alive")[0] == OK
        assert on(name)("node_patroni_version", "--patroni-version", "4.1.5")[0] == OK
        assert on(name)("node_is_pending_restart")[0] == OK
        assert on(name)("node_tl_has_changed", "--timeline", str(members[name]["TL"]))[0] == OK
        assert on(name)("node_tl_has_changed", "--timeline", "99")[0] == CRITICAL
    assert on(leader)("node_is_primary")[0] == OK
    assert on(leader)("node_is_leader")[0] == OK
    assert on(leader)("node_is_leader", "--is-standby-leader")[0] == CRITICAL
    assert on(leader)("node_is_replica")[0] == CRITICAL
    assert on(synchronous)("node_is_primary")[0] == CRITICAL
    assert on(synchronous)("node_is_replica", "--max-lag", "1MB")[0] == OK
    assert on(synchronous)("node_is_replica", "--is-async")[0] == CRITICAL
    assert on(asynchronous)("node_is_replica", "--is-sync")[0] == CRITICAL
    assert CheckPatroni(["http://127.0.0.1:9"])("node_is_alive")[0] != OK


def test_haproxy_and_libpq_follow_a_switchover(ctl: Patronictl, site: Site) -> None:
    hosts = ",".join(site.addresses.values())
    app = Target(hosts, "app", SECRETS["app"][1], "app")
    with HAProxy(site.addresses) as proxy:
        former = ctl.leader()

        def leads(name: str) -> None:
            found = who_answers(app, port=proxy.primary)
            if found != (False, site.addresses[name]):
                raise NotYet(f"{found}")

        eventually(lambda: leads(former), within=15, what="the primary behind HAProxy")
        replicas = {(True, site.addresses[name]) for name in ctl.replicas()}

        def behind_it() -> None:
            # Whoever has not been checked yet counts as well, the leader among the replicas too.
            if (found := {who_answers(app, port=proxy.replicas) for _ in range(6)}) != replicas:
                raise NotYet(f"{found}")

        eventually(behind_it, within=15, what="the replicas behind HAProxy")
        said = ctl("switchover", CLUSTER, "--leader", former, "--force")
        assert "Successfully switched over" in said
        successor = ctl.wait_healthy(3)
        assert successor != former
        eventually(lambda: leads(successor), within=15, what="the new primary behind HAProxy")
        assert who_answers(app, host=hosts, attributes="read-write") == (False, site.addresses[successor])
        assert who_answers(app, host=hosts, attributes="prefer-standby")[0] is True
        assert who_answers(app, host=hosts, attributes="primary") == (False, site.addresses[successor])


def test_prometheus(ctl: Patronictl, site: Site) -> None:
    with Prometheus([f"{address}:8008" for address in site.addresses.values()]) as server:
        leader, replica = ctl.leader(), ctl.replicas()[0]

        def scraped() -> None:
            # A scrape that takes longer than a second fails, and takes a member's values away until the next one.
            up, primary = server.values("up", label="instance"), server.values("patroni_primary")
            running = server.values("patroni_postgres_running")
            if list(up.values()) != [1.0] * 3 or primary != {name: float(name == leader) for name in site.names}:
                raise NotYet(f"{up}, primary: {primary}")
            if running != dict.fromkeys(site.names, 1.0):
                raise NotYet(f"running: {running}")
            replayed, written = (server.values(f"patroni_xlog_{one}") for one in ("replayed_timestamp", "location"))
            if not (replayed.get(replica, 0) > 1.7e9 and written.get(leader, 0) > 0):
                raise NotYet(f"replayed: {replayed}, written: {written}")

        eventually(scraped, within=30, what="what all three members measure", every=0.5)
    for address in site.addresses.values():
        reply = requests.get(f"http://{address}:8008/metrics", timeout=5)
        assert check_metrics(reply.text) == ""
