"""`patronictl demote-cluster` and `promote-cluster` on a cluster whose PostgresCluster names no other one."""

from __future__ import annotations

from e2e.clients.patronictl import Patronictl
from e2e.kubectl import Kubectl
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually
from e2e.test_standby_cluster import same_passwords, wait_following


def test_demote_and_promote_a_cluster(kubectl: Kubectl, namespace: str) -> None:
    main, site = PostgresCluster(kubectl, namespace, "main"), PostgresCluster(kubectl, namespace, "site-b")
    main.apply(instances=1)
    main.wait_healthy(1)
    same_passwords(kubectl, main, site)
    host = f"main.{namespace}.svc"
    site.apply(instances=2, standby={"host": host})
    wait_following(site, 2)
    ctl = Patronictl(kubectl.env["KUBECONFIG"], namespace, "site-b")
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


def _primary(ctl: Patronictl) -> None:
    roles = [row["Role"] for row in ctl.members().values()]
    if "Leader" not in roles:
        raise NotYet(f"{roles}")
