"""What a cluster asks of the API server while nothing happens in it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from matriarch.testing.virtual_time import run
from simulation.test_scenarios import a_plan
from simulation.world import World

IDLE_S = 600.0


def idle_requests(*, synchronous: bool) -> Counter[tuple[str, str, str]]:
    """Every request within ten minutes, by member, verb and kind, of a cluster that nobody writes to."""

    async def live() -> Counter[tuple[str, str, str]]:
        plan = a_plan(synchronous_mode=synchronous)
        plan.clients = 0
        world = World(1, plan)
        world.start()
        await world.whole(60.0)
        await asyncio.sleep(30.0)
        before = Counter(world.kube.calls)
        await asyncio.sleep(IDLE_S)
        assert world.found is None, "\n".join(world.trace.lines(60))
        return world.kube.calls - before

    return run(live())


@pytest.mark.parametrize("synchronous", [True, False])
def test_an_idle_cluster_writes_its_lock_once_each_loop_and_nothing_else(synchronous: bool) -> None:
    calls = idle_requests(synchronous=synchronous)
    print(calls)
    by_request = Counter((verb, kind) for _, verb, kind in calls)
    renewals = sum(count for (_, verb, kind), count in calls.items() if (verb, kind) == ("patch", "endpoints"))
    renewed_watches = sum(count for (_, verb, _), count in calls.items() if verb in ("watch", "list"))
    assert renewals <= IDLE_S / 3 + 1
    assert renewed_watches <= 3 * 2 * 2, "three members, two watches each, each renewed every five minutes at most"
    assert set(by_request) <= {("patch", "endpoints"), ("watch", "endpoints"), ("watch", "pods")}
