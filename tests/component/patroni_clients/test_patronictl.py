"""The real patronictl against real members: what it shows, and what it changes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import yaml
from component.patroni_clients.site import CLUSTER, Site
from e2e.clients.patronictl import Patronictl
from e2e.shell import NotYet, eventually

pytestmark = pytest.mark.component


def rest(site: Site, name: str, path: str) -> Any:
    """Raises NotYet when there is no answer."""
    try:
        return requests.get(f"http://{site.addresses[name]}:8008{path}", timeout=5).json()
    except requests.RequestException as error:
        raise NotYet(f"{name}: {error}") from error


def test_list_in_every_format(ctl: Patronictl, site: Site) -> None:
    leader = ctl.leader()
    columns = {"Cluster", "Member", "Host", "Role", "State", "TL", "Receive LSN", "Replay LSN", "Replay Lag"}
    rows = json.loads(ctl("list", "-f", "json"))
    assert columns <= set().union(*rows)
    assert {row["Member"]: row["Host"] for row in rows} == site.addresses
    assert {row["Role"] for row in rows} == {"Leader", "Sync Standby", "Replica"}
    for form in ("yaml", "yml"):
        found = yaml.safe_load(ctl("list", "-f", form))
        assert [(row["Member"], row["Role"]) for row in found] == [(row["Member"], row["Role"]) for row in rows]
    lines = ctl("list", "-f", "tsv").splitlines()
    assert lines[0].split("\t")[:5] == ["Cluster", "Member", "Host", "Role", "State"]
    assert len(lines) == 4
    pretty = ctl("list", "-e", "-t")
    assert re.search(rf"Cluster: {CLUSTER} \(\d{{10,}}\)", pretty)
    assert leader in pretty and "Timestamp" not in pretty
    topology = ctl("topology")
    assert f"| {leader} " in topology and "+ " in topology


def test_version_history_and_settings(ctl: Patronictl) -> None:
    said = ctl("version", CLUSTER)
    assert all(f"{name}: Patroni 4.1.5 PostgreSQL" in said for name in ctl.members())
    assert "TL" in ctl("history")
    assert yaml.safe_load(ctl("show-config"))["ttl"] == 9


def test_edit_config(ctl: Patronictl, site: Site) -> None:
    said = ctl("edit-config", "--force", "-s", "maximum_lag_on_failover=2097152", "-p", "work_mem=5MB")
    assert "Configuration changed" in said
    shown = yaml.safe_load(ctl("show-config"))
    assert shown["maximum_lag_on_failover"] == 2097152
    assert shown["postgresql"]["parameters"]["work_mem"] == "5MB"
    assert "Not changed" in ctl("edit-config", "--force", "-s", "maximum_lag_on_failover=2097152")
    member = ctl.leader()

    def told() -> None:
        # Of what has reached it: patronictl writes beside it.
        if (found := rest(site, member, "/config")) != shown:
            raise NotYet(f"{found}")

    eventually(told, within=15, what="the settings as the primary tells them")

    def in_force() -> None:
        answer = query(ctl, "show work_mem", "-m", member)
        if answer != ["work_mem", "5MB"]:
            raise NotYet(str(answer))

    eventually(in_force, within=15, what="the parameter on the primary")


def query(ctl: Patronictl, statement: str, *where: str) -> list[str]:
    """What `patronictl query` prints in tab-separated columns."""
    return ctl("query", "-c", statement, "-U", "app", "-d", "app", "--format", "tsv", *where).split()


def test_query_by_role(ctl: Patronictl) -> None:
    recovery = "select pg_is_in_recovery()"
    assert query(ctl, recovery, "-r", "primary") == ["pg_is_in_recovery", "False"]
    assert query(ctl, recovery, "-r", "replica") == ["pg_is_in_recovery", "True"]
    assert ctl("dsn", "-r", "primary").startswith("host=127.")


def test_pause_and_resume(ctl: Patronictl) -> None:
    assert "Success: cluster management is paused" in ctl("pause", "--wait")
    assert "Maintenance mode: on" in ctl("list")
    assert "Error: Cluster is already paused" in ctl.run("pause")[1]
    assert "Success: cluster management is resumed" in ctl("resume", "--wait")
    assert "Maintenance mode" not in ctl("list")


def test_reload_and_restart(ctl: Patronictl, site: Site) -> None:
    leader = ctl.leader()
    assert "Reload request received for member" in ctl("reload", CLUSTER, "--force")
    before = rest(site, leader, "/patroni")["postmaster_start_time"]
    assert f"Success: restart on member {leader}" in ctl("restart", CLUSTER, leader, "--force")
    ctl.wait_healthy(3)
    assert ctl.leader() == leader
    assert rest(site, leader, "/patroni")["postmaster_start_time"] > before


def test_restart_of_what_waits_for_it(ctl: Patronictl) -> None:
    ctl("edit-config", "--force", "-p", "max_connections=45")

    def pending() -> None:
        waiting = [name for name, row in ctl.members().items() if row.get("Pending restart") == "*"]
        if len(waiting) != 3:
            raise NotYet(f"pending restart: {waiting}")

    eventually(pending, within=20, what="three pending restarts")
    assert "max_connections: 40->45" in ctl("list", "-e")
    replica = ctl.replicas()[0]
    assert f"Success: restart on member {replica}" in ctl("restart", CLUSTER, replica, "--pending", "--force")
    said = ctl("restart", CLUSTER, replica, "--pending", "--force")
    assert "Success" not in said
    ctl("restart", CLUSTER, "--pending", "--force")
    ctl.wait_healthy(3)


def test_a_restart_at_a_time(ctl: Patronictl, site: Site) -> None:
    leader, replica = ctl.leader(), ctl.replicas()[0]
    said = ctl("restart", CLUSTER, leader, "--force", "--scheduled", "2099-01-01T00:00:00+00:00", "--role", "primary")
    assert f"Success: restart scheduled on member {leader}" in said
    shown = eventually(lambda: _planned(ctl, leader), within=10, what="the planned restart in the list")
    assert "2099-01-01T00:00:00+00:00" in shown

    def told_by_another() -> None:
        # As of its last look.
        planned = next(one for one in rest(site, replica, "/cluster")["members"] if one["name"] == leader)
        if planned.get("scheduled_restart", {}).get("schedule") != "2099-01-01T00:00:00+00:00":
            raise NotYet(f"{planned}")

    eventually(told_by_another, within=15, what="the planned restart in what another member tells")
    assert f"Success: flush scheduled restart for member {leader}" in ctl("flush", CLUSTER, "restart", "--force")
    assert "No scheduled restart for member" in ctl("flush", CLUSTER, "restart", "--force")
    before = rest(site, replica, "/patroni")["postmaster_start_time"]
    when = (datetime.now(UTC) + timedelta(seconds=15)).isoformat()
    assert "Success: restart scheduled" in ctl("restart", CLUSTER, replica, "--force", "--scheduled", when)

    def restarted() -> None:
        now = rest(site, replica, "/patroni")
        if now.get("postmaster_start_time", before) == before or "scheduled_restart" in now:
            raise NotYet(f"{now}")

    eventually(restarted, within=40, what="the planned restart")
    ctl.wait_healthy(3)


def _planned(ctl: Patronictl, name: str) -> str:
    found = ctl.members()[name].get("Scheduled restart")
    if not found:
        raise NotYet(f"{ctl.members()}")
    return str(found)


def test_switchover_now_and_at_a_time(ctl: Patronictl) -> None:
    former = ctl.leader()
    candidate = next(name for name, row in ctl.members().items() if row["Role"] == "Sync Standby")
    said = ctl("switchover", CLUSTER, "--leader", former, "--candidate", candidate, "--force")
    assert f'Successfully switched over to "{candidate}"' in said
    ctl.wait_healthy(3)
    assert ctl.leader() == candidate
    ctl.wait_last_in_history(candidate)
    later = ["--scheduled", "2099-01-01T00:00:00+00:00"]
    assert "Switchover scheduled" in ctl("switchover", CLUSTER, "--leader", candidate, "--force", *later)
    assert "Switchover scheduled at: 2099-01-01T00:00:00+00:00" in ctl("list")
    assert "Success: scheduled switchover deleted" in ctl("flush", CLUSTER, "switchover", "--force")
    assert "Switchover scheduled" not in ctl("list")
    code, said = ctl.run("switchover", CLUSTER, "--leader", former, "--force")
    assert code != 0 and "is not the leader" in said


def test_failover_and_reinit(ctl: Patronictl) -> None:
    leader = ctl.leader()
    candidate = next(name for name, row in ctl.members().items() if row["Role"] == "Sync Standby")
    said = ctl("failover", CLUSTER, "--candidate", candidate, "--force")
    assert f'Successfully failed over to "{candidate}"' in said
    ctl.wait_healthy(3)
    assert f"Success: reinitialize for member {leader}" in ctl("reinit", CLUSTER, leader, "--force", "--wait")
    ctl.wait_healthy(3)
    assert "No replica among provided members" in ctl.run("reinit", CLUSTER, candidate, "--force")[1]
