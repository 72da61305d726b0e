"""A running Patroni cluster becomes Matriarch's member by member, on the same objects, volumes and passwords; and back.

For a while members of both kinds are in one cluster. What is patched into the StatefulSet is the file that users get.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from bench.systems import Patroni, PatroniCluster

from e2e import images
from e2e.cluster import ClusterProvider
from e2e.figures import Figures
from e2e.kubectl import APPS, Kubectl, Object, annotations_of, load_json
from e2e.ordeal import LEASE_S, ordeal
from e2e.postgres_cluster import IDENTITY
from e2e.shell import ROOT, NotYet, eventually

PATCH = ROOT / "manifests" / "move-from-patroni" / "statefulset.yaml"


@pytest.fixture(scope="module")
def patroni(kubectl: Kubectl, provider: ClusterProvider, loaded: None) -> Iterator[Patroni]:
    """Three members of Patroni in Endpoints mode."""
    provider.load(images.build(provider, [images.PATRONI_IMAGE]))
    system = Patroni(kubectl, namespace="e2e-move")
    system.create()
    yield system
    system.remove()


def agents(cluster: PatroniCluster) -> dict[str, str]:
    """Member -> whose agent it says it has."""
    statuses = {pod["metadata"]["name"]: load_json(annotations_of(pod).get("status")) or {} for pod in cluster.pods()}
    return {name: "matriarch" if "matriarch" in status else "patroni" for name, status in statuses.items()}


def set_template(cluster: PatroniCluster, original: Object | None) -> None:
    """The StatefulSet's pods shall be Matriarch's, or the original ones again."""
    place = ("statefulset", cluster.name, "-n", cluster.namespace)
    if original is None:
        cluster.kubectl("patch", *place, f"--patch-file={PATCH}")
    else:
        template = [{"op": "replace", "path": "/spec/template", "value": original["spec"]["template"]}]
        cluster.kubectl("patch", *place, "--type=json", "-p", json.dumps(template))


def replace_member(cluster: PatroniCluster, member: str) -> None:
    """Delete its pod and wait until three members are whole again."""
    before = cluster.pod(member)["metadata"]["uid"]
    cluster.delete_pod(member)
    eventually(lambda: _replaced(cluster, member, before), within=60, what=f"a new pod of {member}")
    cluster.wait_healthy(within=90)


def _replaced(cluster: PatroniCluster, member: str, before: str) -> None:
    if cluster.pod(member)["metadata"]["uid"] == before:
        raise NotYet("the pod is the old one")


def move(system: Patroni, to: str) -> None:
    """Replicas first, then a switchover to one of them, then the former primary."""
    cluster = system.cluster
    primary = cluster.wait_healthy()
    replicas = sorted(set(cluster.roles()) - {primary})
    for member in replicas:
        replace_member(cluster, member)
        assert cluster.primary() == primary, "the lock moved although only a replica was replaced"
    assert agents(cluster) == {member: to if member in replicas else _other(to) for member in (*replicas, primary)}
    system.switch_over()
    successor = cluster.wait_primary_other_than(primary, within=40)
    assert successor in replicas
    cluster.wait_healthy(within=60)
    replace_member(cluster, primary)
    assert set(agents(cluster).values()) == {to}
    assert cluster.primary() == successor


def _other(kind: str) -> str:
    return "patroni" if kind == "matriarch" else "matriarch"


def test_there_and_back(patroni: Patroni, kubectl: Kubectl, figures: Figures) -> None:
    cluster = patroni.cluster
    original = kubectl.get(APPS, "statefulsets", cluster.name, namespace=cluster.namespace)
    identity = cluster.sql(IDENTITY, superuser=True)
    with ordeal(cluster, figures, "moved from Patroni", within=LEASE_S):
        set_template(cluster, None)
        move(patroni, "matriarch")
    with ordeal(cluster, figures, "moved back to Patroni", within=LEASE_S):
        set_template(cluster, original)
        move(patroni, "patroni")
    assert cluster.sql(IDENTITY, superuser=True) == identity
