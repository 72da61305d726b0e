"""Views of a three-member cluster `demo`, decided on by `demo-1`: one word per fact that a test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import (
    ConfigView,
    ControlData,
    Failsafe,
    HistoryEntry,
    LockView,
    Me,
    MemberView,
    Memory,
    PeerAnswer,
    Poll,
    PostgresView,
    RemoteHistory,
    Request,
    Slot,
    Standby,
    SyncView,
    Upstream,
    View,
)
from matriarch.words.sync_names import NOBODY, every

NOW = 1000.0
SYSID = "7591234567890123456"
RECORDED = ConfigView(True, "5", SYSID, (HistoryEntry(1, 1000, leader="demo-0"),))
"""The leader's timeline 2 is on record."""
NAMES = ("demo-0", "demo-1", "demo-2")
ME = Me("demo-1", "demo", "10.0.0.1", "uid-1", "n1")


def member(name: str, role: str = "replica", **more: Any) -> MemberView:
    ip = f"10.0.0.{name[-1]}"
    fields: dict[str, Any] = {"api_url": f"http://{ip}:8008/patroni", "pod_ip": ip, "state": "running", "role": role}
    return MemberView(name=name, **(fields | more))


def members(primary: str | None = "demo-0") -> tuple[MemberView, ...]:
    return tuple(member(name, "primary" if name == primary else "replica") for name in NAMES)


def replica(**changes: Any) -> PostgresView:
    base = PostgresView(
        data="present",
        process="running",
        in_recovery=True,
        sysid=SYSID,
        timeline=1,
        lsn=1000,
        streaming=True,
        applied=ClusterSettings(),
        observed_at=NOW,
    )
    return replace(base, **changes)


def physical(*names: str, **more: Any) -> tuple[Slot, ...]:
    return tuple(Slot(name, **({"restart_lsn": 900} | more)) for name in names)


def primary(**changes: Any) -> PostgresView:
    slots = physical("demo_0", "demo_2", active=True)
    base = {"in_recovery": False, "streaming": False, "sync_names": NOBODY, "sync_names_sure": True, "slots": slots}
    return replica(**(base | changes))


def stopped(state: str = "in production", **changes: Any) -> PostgresView:
    was_primary = "recovery" not in state
    end = 1000 if state == "shut down" else None
    control = ControlData(state, SYSID, 1, 900, end, was_primary)
    base = replica(process="stopped", in_recovery=None, timeline=None, lsn=None, streaming=False, control=control)
    return replace(base, **changes)


def lock(holder: str | None = "demo-0", **changes: Any) -> LockView:
    topology = {name: f"http://10.0.0.{name[-1]}:8008/patroni" for name in NAMES}
    base = LockView(holder, "77", 3, 9.0, NOW - 1, False, 1000, topology, f"uid-{(holder or 'x')[-1]}", "n0")
    return replace(base, **changes)


def answer(name: str, **more: Any) -> PeerAnswer:
    fields: dict[str, Any] = {"in_recovery": True, "running": True, "timeline": 1, "lsn": 1000, "sysid": SYSID}
    return PeerAnswer(name, True, **(fields | more))


def silent(name: str) -> PeerAnswer:
    return PeerAnswer(name, False)


def poll(*answers: PeerAnswer) -> Poll:
    return Poll(answers, NOW - 0.1)


def standby(name: str, sync_state: str = "sync", flush: int = 1000, state: str = "streaming") -> Standby:
    return Standby(name, state, sync_state, flush, flush, flush)


def remote(name: str = "demo-0", timeline: int = 2, **switches: int) -> RemoteHistory:
    past = {int(key[1:]): lsn for key, lsn in switches.items()}
    return RemoteHistory(name, 3, SYSID, timeline, past, in_recovery=False)


def a_view(**changes: Any) -> View:
    """demo-1 as a healthy replica of demo-0; every keyword replaces one part."""
    base = View(
        now=NOW,
        wall=1_800_000_000.0,
        me=ME,
        settings=ClusterSettings(),
        lock=lock(),
        config=ConfigView(True, "5", SYSID, ()),
        sync=SyncView("demo-0", ("demo-1",), 0, "9"),
        request=Request(None, None, None, None),
        members=members(),
        postgres=replica(),
        lease_until=None,
        api_ok=True,
        activity=None,
        poll=None,
        failsafe=Failsafe(),
        memory=Memory(followed=Upstream("demo-0", "10.0.0.0"), followed_epoch=3),
    )
    return replace(base, **changes)


def leading(**changes: Any) -> View:
    """demo-1 as a healthy leader, synchronous with demo-0."""
    base: dict[str, Any] = {
        "lock": lock("demo-1"),
        "lease_until": NOW + 8,
        "sync": SyncView("demo-1", ("demo-0",), 0, "9"),
        "members": members("demo-1"),
        "postgres": primary(sync_names=every(("demo-0",)), standbys=(standby("demo-0"), standby("demo-2", "async"))),
        "memory": Memory(sync_written="9"),
    }
    return a_view(**(base | changes))
