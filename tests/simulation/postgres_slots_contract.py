"""The part of the contract of a Postgres that is about replication slots."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from matriarch.ha.view import Slot
from matriarch.words.errors import QueryFailed
from simulation.postgres_stage import Party, Stage, seen


async def slots_are_made_and_dropped(stage: Stage) -> None:
    primary = await stage.primary()
    await primary.postgres.sync_slots(("demo_1", "demo_2"), ())
    assert [*await _slots(primary)] == ["demo_1", "demo_2"]
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await primary.postgres.sync_slots(("demo_1",), ("demo_1", "demo_2"))
    assert [*await _slots(primary)] == ["demo_1"], "one in use is not dropped"


async def slots_on_a_replica_follow_positions(stage: Stage) -> None:
    """What a replica keeps for others moves on as far as it has replayed, never back, and outlives its promotion."""
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await replica.postgres.sync_slots(("demo_0", "demo_2"), ())
    before = await _slots(replica)
    for _ in range(3):
        await primary.write()
    lead = (await primary.postgres.observe()).lsn or 0
    await seen(replica, lambda view: (view.replayed_lsn or 0) >= lead)
    await replica.postgres.sync_slots((), (), (("demo_0", lead), ("demo_9", lead)))
    after = await _slots(replica)
    assert after["demo_0"].restart_lsn == lead and after["demo_2"] == before["demo_2"], after
    with pytest.raises(QueryFailed):
        await replica.postgres.sync_slots((), (), (("demo_0", lead - 64),))
    await replica.postgres.sync_slots((), (), (("demo_2", lead + (1 << 40)),))
    far = (await _slots(replica))["demo_2"].restart_lsn
    assert far is not None and lead <= far <= ((await replica.postgres.observe()).replayed_lsn or 0)
    await primary.postgres.kill()
    await replica.postgres.promote()
    assert (await _slots(replica))["demo_0"].restart_lsn == lead
    await replica.postgres.sync_slots(("demo_2",), ("demo_2",))
    assert [*await _slots(replica)] == ["demo_0", "demo_2"], "dropped and made anew"


async def a_slot_in_use_stays_where_its_standby_is(stage: Stage) -> None:
    primary = await stage.primary()
    replica = await stage.replica(primary, "demo-1")
    await seen(replica, lambda view: view.streaming)
    await primary.write()
    lead = (await primary.postgres.observe()).lsn or 0
    view = await seen(primary, lambda view: any(s.active and (s.restart_lsn or 0) >= lead for s in view.slots or ()))
    await primary.postgres.sync_slots((), (), (("demo_1", lead + 8),))
    assert ((await _slots(primary))["demo_1"].restart_lsn or 0) <= (view.lsn or 0)


async def _slots(party: Party) -> dict[str, Slot]:
    return {slot.name: slot for slot in (await party.postgres.observe()).slots or ()}


SLOTS_CONTRACT: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    slots_are_made_and_dropped,
    slots_on_a_replica_follow_positions,
    a_slot_in_use_stays_where_its_standby_is,
)
