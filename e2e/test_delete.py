"""Delete a cluster, and make one of the same name again: with fresh volumes, and with the kept ones."""

from __future__ import annotations

import pytest

from e2e.kubectl import CORE, Kubectl, names_of
from e2e.postgres_cluster import IDENTITY, PostgresCluster
from e2e.shell import NotYet, eventually


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_the_same_name_again(kubectl: Kubectl, namespace: str, policy: str) -> None:
    cluster = PostgresCluster(kubectl, namespace, f"again-{policy.lower()}")
    spec = {"storage": {"size": "1Gi", "reclaimPolicy": policy}}
    cluster.apply(**spec)
    cluster.wait_healthy(within=120)
    cluster.sql("create table kept (n int); insert into kept values (7)")
    identity = cluster.sql(IDENTITY, superuser=True)
    cluster.delete()
    eventually(lambda: _left(kubectl, namespace, cluster.name, policy), within=60, what="what has to go is gone")

    cluster.apply(**spec)
    cluster.wait_healthy(within=60)
    same = cluster.sql(IDENTITY, superuser=True) == identity
    if policy == "Retain":
        assert same, "the data came back"
        assert cluster.sql("select n from kept") == [(7,)]
    else:
        assert not same, "a new cluster has a new identity"
        assert cluster.sql("select to_regclass('kept')") == [(None,)]
    cluster.delete()


def _left(kubectl: Kubectl, namespace: str, name: str, policy: str) -> None:
    objects = {
        plural: [one for one in names_of(kubectl.items(CORE, plural, namespace=namespace)) if name in one]
        for plural in ("persistentvolumeclaims", "endpoints", "services", "secrets", "pods")
    }
    claims, secrets = objects.pop("persistentvolumeclaims"), objects.pop("secrets")
    if any(objects.values()):
        raise NotYet(f"still there: {objects}")
    kept = (len(claims), len(secrets) > 0)
    if kept != ((3, True) if policy == "Retain" else (0, False)):
        raise NotYet(f"with reclaimPolicy {policy}: claims {claims}, Secrets {secrets}")
