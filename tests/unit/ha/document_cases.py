"""A three-member cluster, `demo`, seen by one of its members: the starting point of the documents' tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from matriarch.ha.documents import Facts, status_document
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import (
    ConfigView,
    Failsafe,
    HistoryEntry,
    LockView,
    Me,
    MemberView,
    Memory,
    PostgresView,
    Request,
    SyncView,
    View,
)

NOW = 1000.0
WALL = 1_800_000_000.0
PRIMARY_LSN = 0x5000100
REPLICA_LSN = 0x5000000


def me(name: str = "demo-0") -> Me:
    return Me(name=name, cluster="demo", pod_ip=f"10.0.0.1{name[-1]}", pod_uid=f"uid-{name}", node="n1")


def member(name: str, role: str = "replica") -> MemberView:
    ip = me(name).pod_ip
    return MemberView(
        name=name,
        api_url=f"http://{ip}:8008/patroni",
        conn_url=f"postgres://{ip}:5432/postgres",
        pod_ip=ip,
        state="running",
        role=role,
        timeline=2,
        lsn=PRIMARY_LSN if role == "primary" else REPLICA_LSN,
        streaming=role != "primary",
    )


def primary_postgres(**changes: Any) -> PostgresView:
    view = PostgresView(
        data="present",
        process="running",
        in_recovery=False,
        sysid="7591234567890123456",
        timeline=2,
        lsn=PRIMARY_LSN,
        server_version=170006,
        postmaster_start_time="2026-11-21 08:00:00.000001+00:00",
    )
    return replace(view, **changes)


def replica_postgres(**changes: Any) -> PostgresView:
    view = primary_postgres(
        in_recovery=True,
        lsn=REPLICA_LSN,
        received_lsn=REPLICA_LSN,
        replayed_lsn=REPLICA_LSN - 16,
        latest_end_lsn=REPLICA_LSN,
        streaming=True,
        upstream="demo-0",
    )
    return replace(view, **changes)


def view_of(name: str = "demo-0", **changes: Any) -> View:
    """`demo-0` leads and is primary; the others follow; `demo-1` is synchronous."""
    leads = name == "demo-0"
    view = View(
        now=NOW,
        wall=WALL,
        me=me(name),
        settings=ClusterSettings(),
        lock=LockView(
            holder="demo-0",
            version="7",
            epoch=3,
            seen_at=NOW - 1,
            optime=PRIMARY_LSN,
            failsafe={f"demo-{number}": f"http://10.0.0.1{number}:8008/patroni" for number in range(3)},
        ),
        config=ConfigView(
            exists=True,
            version="9",
            initialize="7591234567890123456",
            history=(HistoryEntry(1, 50331808, "no recovery target specified", "2026-11-21T08:00:02+00:00", "demo-0"),),
        ),
        sync=SyncView(leader="demo-0", standbys=("demo-1",), version="5"),
        request=Request(None, None, None, "4"),
        members=(member("demo-0", "primary"), member("demo-1"), member("demo-2")),
        postgres=primary_postgres() if leads else replica_postgres(),
        lease_until=NOW + 8 if leads else None,
        api_ok=True,
        activity=None,
        poll=None,
        failsafe=Failsafe(),
        memory=Memory(),
    )
    return replace(view, **changes)


def facts_of(view: View, **changes: Any) -> Facts:
    facts = Facts(
        me=view.me,
        now=NOW + 0.5,
        wall=WALL + 0.5,
        view=view,
        lease_until=view.lease_until,
        looked_at=NOW,
        api_seen_at=NOW,
        statuses={name: status_document(view_of(name)) for name in ("demo-0", "demo-1", "demo-2")},
    )
    return replace(facts, **changes)


def pod(name: str, status: str | None, **metadata: Any) -> Mapping[str, Any]:
    annotations = {"status": status} if status is not None else None
    return {
        "metadata": {"name": name, "annotations": annotations, **metadata},
        "status": {"podIP": me(name).pod_ip if name[-1:].isdigit() else "10.0.0.99"},
    }
