"""Delete a cluster, and make one of the same name again: with fresh volumes, and with the kept ones."""

from __future__ import annotations

import pytest

from e2e.kubectl import CORE, Kubectl, annotations_of, names_of
from e2e.postgres_cluster import IDENTITY, PostgresCluster
from e2e.shell import NotYet, eventually


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_the_same_name_again(kubectl: Kubectl, namespace: str, policy: str) -> None:
    cluster = PostgresCluster(kubectl, namespace, f"again-{policy.lower()}")
    spec = {"storage": {"size": "1Gi", "reclaimPolicy": policy}}
    cluster.apply(**spec)
    cluster.wait_healthy(within=120)
    cluster.wait_routed()
    cluster.sql("create table kept (n int); insert into kept values (7)")
    identity = cluster.sql(IDENTITY, superuser=True)
    cluster.delete()
    eventually(lambda: _left(kubectl, namespace, cluster.name, policy), within=60, what="what has to go is gone")
    notes = _notes(kubectl, namespace, cluster.name)
    assert len(notes) == (1 if policy == "Retain" else 0), "all kept volumes tell the same of who has everything"

    cluster.apply(**spec)
    cluster.wait_healthy(within=60)
    cluster.wait_routed()
    same = cluster.sql(IDENTITY, superuser=True) == identity
    if policy == "Retain":
        assert same, "the data came back"
        assert cluster.sql("select n from kept") == [(7,)]
        eventually(lambda: _no_notes(kubectl, namespace, cluster.name), within=20, what="volumes without a note")
    else:
        assert not same, "a new cluster has a new identity"
        assert cluster.sql("select to_regclass('kept')") == [(None,)]
    cluster.delete()


def test_fewer_members_on_kept_volumes_lose_nothing(kubectl: Kubectl, namespace: str) -> None:
    """Who was primary last has all that was acknowledged, and whoever was synchronous with it then."""
    cluster = PostgresCluster(kubectl, namespace, "fewer")
    storage = {"size": "1Gi", "reclaimPolicy": "Retain"}
    cluster.apply(storage=storage)
    cluster.wait_healthy(within=120)
    cluster.wait_routed()
    cluster.sql("create table kept (n int); insert into kept values (7)")
    cluster.delete()
    eventually(lambda: _left(kubectl, namespace, cluster.name, "Retain"), within=60, what="what has to go is gone")
    (note,) = _notes(kubectl, namespace, cluster.name)
    cluster.apply(instances=1, storage=storage)
    if "fewer-0" in str(note):
        cluster.wait_healthy(1, within=60)
    else:
        eventually(lambda: _told(cluster, "raise instances"), within=60, what="a word on what is missing")
        cluster.apply(instances=3, storage=storage)
        cluster.wait_healthy(within=90)
    cluster.eventually_sql("select n from kept", [(7,)], within=20)
    cluster.delete()


def _told(cluster: PostgresCluster, text: str) -> None:
    conditions = cluster.status().get("conditions") or []
    if not any(text in condition.get("message", "") for condition in conditions):
        raise NotYet(f"{conditions}")


def _notes(kubectl: Kubectl, namespace: str, name: str) -> set[str | None]:
    found = kubectl.items(CORE, "persistentvolumeclaims", namespace=namespace)
    ours = [one for one in found if one["metadata"]["name"].startswith(f"data-{name}-")]
    return {annotations_of(one).get("matriarch.dev/last-sync") for one in ours}


def _no_notes(kubectl: Kubectl, namespace: str, name: str) -> None:
    if (notes := _notes(kubectl, namespace, name)) != {None}:
        raise NotYet(f"{notes}")


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
