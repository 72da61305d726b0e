"""A cluster that follows another one: it serves reads, is promoted as a whole, and goes back to following."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from e2e.kubectl import CORE, Kubectl, Object, annotations_of, load_json
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually

ROWS = "select count(*)::int from crossing"


def same_passwords(kubectl: Kubectl, source: PostgresCluster, target: PostgresCluster) -> None:
    """What a person does first: the Secrets of both clusters hold the same users and passwords."""
    for suffix in ("-superuser", "-replication", "-app"):
        found = kubectl.get(CORE, "secrets", source.name + suffix, namespace=source.namespace)["data"]
        data = {key: found[key] for key in ("username", "password")}
        copy: Object = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data}
        copy["metadata"] = {"name": target.name + suffix}
        kubectl.apply(copy, namespace=target.namespace)


def wait_following(cluster: PostgresCluster, instances: int, within: float = 90.0) -> str:
    """Wait until the leader streams from the other cluster and everybody else from the leader. Returns the leader."""

    def look() -> str:
        said = {pod["metadata"]["name"]: load_json(annotations_of(pod).get("status")) or {} for pod in cluster.pods()}
        leader = cluster.primary()
        if len(said) != instances or said[leader].get("role") != "standby_leader":
            raise NotYet(f"{leader} leads: {said}")
        idle = {name: one for name, one in said.items() if one.get("replication_state") != "streaming"}
        if idle:
            raise NotYet(f"not streaming: {idle}")
        return leader

    return eventually(look, within=within, what=f"{cluster.name} follows another cluster")


def test_a_standby_cluster_follows_is_promoted_and_follows_again(kubectl: Kubectl, namespace: str) -> None:
    main, site = PostgresCluster(kubectl, namespace, "main"), PostgresCluster(kubectl, namespace, "site-b")
    main.apply(instances=2)
    main.wait_healthy(2)
    main.wait_routed()
    main.sql("create table crossing (n int)")
    same_passwords(kubectl, main, site)
    standby = {"host": f"main.{namespace}.svc"}

    site.apply(instances=2, standby=standby)
    wait_following(site, 2)
    main.sql("insert into crossing values (1)")
    app = main.secret("-app")

    def arrives(count: int) -> None:
        try:
            found = int(site_sql(app, site.service_address(), ROWS))
        except psycopg.Error as error:
            raise NotYet(str(error)) from error
        if found != count:
            raise NotYet(f"{found} rows")

    eventually(lambda: arrives(1), within=30, what="the row in the other cluster")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        site_sql(app, site.service_address(), "insert into crossing values (0) returning n")

    # The other cluster's primary changes: its Service leads to the new one.
    former = main.primary()
    main.annotate("matriarch.dev/switchover", "any")
    main.wait_primary_other_than(former, within=30)
    main.wait_routed()
    main.sql("insert into crossing values (2)")
    eventually(lambda: arrives(2), within=30, what="a row of the new primary")

    site.change({"standby": None})
    eventually(lambda: writes(app, site), within=30, what="writes after the promotion")
    site.wait_healthy(2, within=30)
    eventually(lambda: arrives(3), within=15, what="all rows after the promotion")

    site.change({"standby": standby})
    wait_following(site, 2)
    eventually(lambda: arrives(2), within=15, what="what only this cluster had is gone")
    site.wait_event("Rewound")
    main.sql("insert into crossing values (3)")
    eventually(lambda: arrives(3), within=30, what="a row after the way back")


def writes(app: dict[str, str], site: PostgresCluster) -> None:
    try:
        site_sql(app, site.service_address(), "insert into crossing values (9) returning n")
    except psycopg.Error as error:
        raise NotYet(str(error)) from error


def site_sql(app: dict[str, str], address: str, query: str) -> Any:
    """The first value of one statement, as the application of the first cluster: its roles are in both."""
    with psycopg.connect(
        host=address,
        user=app["username"],
        password=app["password"],
        dbname=app["dbname"],
        connect_timeout=3,
        autocommit=True,
    ) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]
