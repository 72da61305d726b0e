"""`patronictl demote-cluster` and `promote-cluster` on a cluster whose PostgresCluster names no other one.

Both ask the leader's REST API. One that anybody may reach promotes, and follows nobody whom anybody names.
"""

from __future__ import annotations

from e2e.clients.patronictl import Patronictl
from e2e.kubectl import Kubectl
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually
from e2e.test_rest_api import LOGIN, secret
from e2e.test_standby_cluster import same_passwords, wait_following


def test_demote_and_promote_a_cluster(kubectl: Kubectl, namespace: str) -> None:
    main, site = PostgresCluster(kubectl, namespace, "main"), PostgresCluster(kubectl, namespace, "site-b")
    main.apply(instances=1)
    main.wait_healthy(1)
    same_passwords(kubectl, main, site)
    host = f"main.{namespace}.svc"
    kubectl.apply(secret("rest-login", LOGIN), namespace=namespace)
    site.apply(instances=2, standby={"host": host}, restApi={"auth": {"secretName": "rest-login"}})
    wait_following(site, 2)
    login = {"PATRONI_RESTAPI_USERNAME": LOGIN["username"], "PATRONI_RESTAPI_PASSWORD": LOGIN["password"]}
    ctl = Patronictl(kubectl.env["KUBECONFIG"], namespace, "site-b", login)
    roles = {row["Role"] for row in ctl.members().values()}
    assert roles == {"Standby Leader", "Replica"}

    site.change({"standby": None})
    eventually(lambda: _primary(ctl), within=60, what="a primary")
    site.wait_healthy(2)
    said = ctl("demote-cluster", "site-b", "--force", "--host", host, "--port", "5432", timeout=120)
    assert "demoted" in said.lower() or "success" in said.lower(), said
    wait_following(site, 2)
    said = ctl("promote-cluster", "site-b", "--force", timeout=120)
    assert "promoted" in said.lower() or "success" in said.lower(), said
    site.wait_healthy(2)


def test_an_open_api_sends_no_cluster_to_another_one(kubectl: Kubectl, namespace: str) -> None:
    alone = PostgresCluster(kubectl, namespace, "alone")
    alone.apply(instances=1)
    alone.wait_healthy(1)
    ctl = Patronictl(kubectl.env["KUBECONFIG"], namespace, "alone")
    status, said = ctl.run("demote-cluster", "alone", "--force", "--host", f"other.{namespace}.svc")
    assert status != 0 and "spec.standby" in said, said
    alone.wait_healthy(1)


def _primary(ctl: Patronictl) -> None:
    roles = [row["Role"] for row in ctl.members().values()]
    if "Leader" not in roles:
        raise NotYet(f"{roles}")
