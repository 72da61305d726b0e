"""Replication slots across a failover: a consumer of logical changes misses none, and every member keeps its WAL."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from e2e.kubectl import CORE, annotations_of
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import NotYet, eventually
from e2e.test_parameters import shown

SLOTS = {"feed": {"type": "logical", "database": "app", "plugin": "test_decoding"}, "backup": {"type": "physical"}}
PHYSICAL = "select slot_name from pg_replication_slots where slot_type = 'physical' order by 1"
COPIED = "select slot_name from pg_replication_slots where synced and not temporary"
DROP = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}'"
TAKE = "select data from pg_logical_slot_get_changes('feed', null, null)"


def set_slots(cluster: PostgresCluster, slots: dict[str, Any] | None) -> None:
    """Change the cluster settings as patronictl does."""
    name = f"{cluster.name}-config"
    found = annotations_of(cluster.kubectl.get(CORE, "endpoints", name, namespace=cluster.namespace))
    settings = {**json.loads(found["config"]), "slots": slots}
    wanted = {key: value for key, value in settings.items() if value is not None}
    patch = {"metadata": {"annotations": {"config": json.dumps(wanted)}}}
    cluster.kubectl("patch", "endpoints", name, "-n", cluster.namespace, "--type=merge", "-p", json.dumps(patch))


class Consumer:
    """Takes changes from the slot through the primary's Service."""

    def __init__(self, cluster: PostgresCluster) -> None:
        self._cluster = cluster
        self.seen: set[int] = set()

    def take(self) -> None:
        for (row,) in self._cluster.ask(TAKE, superuser=True):
            if "public.feed_rows: INSERT" in row:
                self.seen.add(int(row.rpartition(":")[2]))

    def copied_to(self, member: str) -> None:
        """A copy counts once the consumer has moved on past what the replica knows."""
        self._cluster.ask("select pg_log_standby_snapshot()", superuser=True)
        self.take()
        found = self._cluster.ask(COPIED, host=self._cluster.address(member), superuser=True)
        if found != [("feed",)]:
            raise NotYet(f"{member} has no copy yet")


def every_slot(cluster: PostgresCluster) -> None:
    """Each member has a slot for each other, and the permanent one."""
    names = [str(pod["metadata"]["name"]) for pod in cluster.pods()]
    for name in names:
        wanted = sorted({"backup", *(other.replace("-", "_") for other in names if other != name)})
        found = [row[0] for row in cluster.ask(PHYSICAL, host=cluster.address(name), superuser=True)]
        if found != wanted:
            raise NotYet(f"{name} has {found} instead of {wanted}")


def no_logical(cluster: PostgresCluster) -> None:
    """The primary's slot is dropped, and the other servers have removed their copies."""
    # Each time: a primary that had not heard yet that nobody asks for it may have made it again.
    cluster.ask(DROP.format(name="feed"), superuser=True)
    query = "select slot_name from pg_replication_slots where slot_type = 'logical'"
    for pod in cluster.pods():
        if found := cluster.ask(query, host=cluster.address(pod["metadata"]["name"]), superuser=True):
            raise NotYet(f"{pod['metadata']['name']} has {found}")


def test_a_consumer_misses_nothing_across_a_failover(healthy: PostgresCluster) -> None:
    healthy.change({"parameters": {"wal_level": "logical"}})
    shown(healthy, "wal_level", "logical", within=120)
    healthy.wait_healthy()
    healthy.wait_routed()
    former = healthy.primary()
    try:
        set_slots(healthy, SLOTS)
        healthy.sql("create table feed_rows (id int)")
        healthy.eventually_sql(
            "select count(*) from pg_replication_slots where slot_name = 'feed' and failover", [(1,)], within=40
        )
        eventually(lambda: every_slot(healthy), within=40, what="slots on every member")
        consumer = Consumer(healthy)
        replicas = [str(pod["metadata"]["name"]) for pod in healthy.pods() if pod["metadata"]["name"] != former]
        for name in replicas:
            eventually(partial(consumer.copied_to, name), within=90, what=f"a copy of the slot on {name}")
        healthy.sql("insert into feed_rows select generate_series(1, 50)")
        consumer.take()
        healthy.sql("insert into feed_rows select generate_series(51, 100)")
        healthy.delete_pod(former, force=True)
        healthy.wait_primary_other_than(former, within=60)
        healthy.wait_healthy()
        healthy.wait_routed()
        healthy.sql("insert into feed_rows select generate_series(101, 150)")
        eventually(consumer.take, within=30, what="a consumer that goes on")
        assert consumer.seen == set(range(1, 151)), f"missing {sorted(set(range(1, 151)) - consumer.seen)[:10]}"
        eventually(lambda: every_slot(healthy), within=40, what="slots on every member, the former primary included")
        eventually(lambda: consumer.copied_to(former), within=90, what="a copy on the former primary")
    finally:
        set_slots(healthy, None)
        healthy.sql("drop table if exists feed_rows")
        # A server does not start with logical slots and a lower wal_level.
        eventually(lambda: no_logical(healthy), within=240, what="no logical slots")
        for pod in healthy.pods():
            # The permanent slot would keep WAL for half an hour, for the tests that come after this one.
            healthy.sql(DROP.format(name="backup"), host=healthy.address(str(pod["metadata"]["name"])), superuser=True)
        healthy.change({"parameters": {"wal_level": None}})
        shown(healthy, "wal_level", "replica", within=120)
        healthy.wait_healthy()
