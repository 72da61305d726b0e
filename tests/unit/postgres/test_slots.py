"""A slot's row as servers of different versions tell it."""

from __future__ import annotations

from typing import Any

import pytest

from matriarch_agent.postgres.slots import slot_of


def row(**changes: Any) -> dict[str, Any]:
    base = {
        "slot_name": "demo_1",
        "plugin": None,
        "slot_type": "physical",
        "datoid": None,
        "active": False,
        "xmin": None,
        "catalog_xmin": None,
        "restart_lsn": "0/3000000",
        "confirmed_flush_lsn": None,
        "wal_status": "reserved",
        "database": None,
    }
    return {**base, **changes}


def test_an_older_servers_row_lacks_columns() -> None:
    slot = slot_of(row())
    assert (slot.name, slot.type, slot.restart_lsn, slot.active, slot.usable) == (
        "demo_1",
        "physical",
        0x3000000,
        False,
        True,
    )
    assert not (slot.failover or slot.synced or slot.holds_rows)


@pytest.mark.parametrize("changes", [{"wal_status": "lost"}, {"invalidation_reason": "wal_removed"}])
def test_a_slot_whose_wal_is_gone_is_lost(changes: dict[str, Any]) -> None:
    slot = slot_of(row(**changes))
    assert slot.lost and not slot.usable


def test_only_a_physical_slot_holds_rows_for_queries() -> None:
    assert slot_of(row(xmin="751")).holds_rows
    feed = row(slot_type="logical", plugin="pgoutput", database="app", catalog_xmin="7", failover=True, synced=True)
    slot = slot_of({**feed, "confirmed_flush_lsn": "1/10"})
    assert not slot.holds_rows and slot.failover and slot.synced and slot.confirmed_lsn == (1 << 32) + 16
