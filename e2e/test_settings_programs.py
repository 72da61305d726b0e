"""Programs that the cluster settings name, on a real cluster: how it begins, how replicas are made, who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e.kubectl import CORE, Kubectl
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import CommandFailed, NotYet, eventually

READ_DATADIR = "for word; do case $word in --datadir=*) into=${word#*=};; --connstring=*) from=${word#*=};; esac; done"
SETTINGS = {
    "bootstrap": {
        "method": "ours",
        "ours": {"command": f"sh -euc '{READ_DATADIR}; initdb -k -D $into -U postgres' ours"},
        "post_bootstrap": """sh -euc 'psql -X "$1" -c "create role made_by_post_bootstrap"' ours""",
    },
    "postgresql": {
        "create_replica_methods": ["broken", "ours", "basebackup"],
        "broken": {"command": "sh -c 'echo tried >> /tmp/broken; exit 7' ours"},
        "ours": {
            "command": f'sh -euc \'{READ_DATADIR}; pg_basebackup -D $into -d "$from" -X stream -c fast;'
            " echo copied >> /tmp/copied' ours"
        },
        "callbacks": dict.fromkeys(("on_start", "on_role_change"), """sh -c 'echo "$@" >> /tmp/told' ours"""),
    },
}


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl, namespace: str) -> Iterator[PostgresCluster]:
    """The settings are there before the first member starts."""
    made = PostgresCluster(kubectl, namespace, "own")
    config = {"name": "own-config", "annotations": {"config": json.dumps(SETTINGS)}}
    labels = {"application": "matriarch", "cluster-name": "own"}
    kubectl.apply(
        {"apiVersion": CORE, "kind": "Endpoints", "metadata": config | {"labels": labels}}, namespace=namespace
    )
    made.apply()
    made.wait_healthy(within=120)
    made.wait_routed()
    yield made
    made.delete()


def read(cluster: PostgresCluster, member: str, path: str) -> str:
    """A file of a member's container; empty when there is none."""
    try:
        return cluster.kubectl.exec(cluster.namespace, member, "cat", path)
    except CommandFailed:
        return ""


def test_a_cluster_begins_by_a_method_of_ones_own(cluster: PostgresCluster) -> None:
    found = cluster.sql("select rolname from pg_roles where rolname = 'made_by_post_bootstrap'", superuser=True)
    assert found == [("made_by_post_bootstrap",)]


def test_replicas_are_made_by_the_first_method_that_works(cluster: PostgresCluster) -> None:
    for member in set(cluster.roles()) - {cluster.primary()}:
        assert read(cluster, member, "/tmp/broken") == "tried\n"
        assert read(cluster, member, "/tmp/copied") == "copied\n"


def test_callbacks_tell_of_starts_and_roles(cluster: PostgresCluster) -> None:
    former = cluster.primary()
    cluster.annotate("matriarch.dev/switchover", "any")
    successor = cluster.wait_primary_other_than(former, within=30)
    cluster.wait_healthy(within=60)
    _wait_told(cluster, successor, "primary")
    _wait_told(cluster, former, "replica")
    assert read(cluster, successor, "/tmp/told").startswith("on_start replica own\n")


def _wait_told(cluster: PostgresCluster, member: str, role: str) -> None:
    def told() -> None:
        said = read(cluster, member, "/tmp/told").splitlines()
        if f"on_role_change {role} own" not in said:
            raise NotYet(f"{member} was told {said}")

    eventually(told, within=30, what=f"the word that {member} is {role}")
