"""One fault at a time, and how long the clients notice it. Figures are virtual seconds between any two acknowledgements
of ten clients that write through the primary's Service; the limits are promises, not measurements of a machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from matriarch.testing.virtual_time import run
from simulation.member import Member
from simulation.plan import Plan
from simulation.world import World

Deed = Callable[[World, Member], Awaitable[None]]


def a_plan(**settings: Any) -> Plan:
    plan = Plan(members=3, clients=10, sticky=0, clock_drift=0.001)
    plan.settings = {
        "ttl": 9,
        "loop_wait": 3,
        "retry_timeout": 3,
        "synchronous_mode": True,
        "failsafe_mode": True,
        "postgresql": {"parameters": {"max_connections": 100}},
        **settings,
    }
    return plan


def outage(deed: Deed, plan: Plan, seed: int = 1, after_s: float = 40.0) -> float:
    """Let a cluster form, do the deed, wait, and tell the longest outage. Every checker looks on."""

    async def live() -> float:
        world = World(seed, plan)
        for client in world.clients:
            client.pause, client.bulk, client.timeout_s = (0.02, 0.1), 0.0, 0.8
        world.start()
        await world.whole(60.0)
        await asyncio.sleep(5.0)
        primary = next(member for member in world.members if member.server.writable)
        world.measure()
        await deed(world, primary)
        await asyncio.sleep(after_s)
        gap = world.outage_s()
        await world.whole(60.0)
        assert world.found is None, "\n".join(world.trace.lines(60))
        return gap

    return run(live())


async def kill_agent(world: World, primary: Member) -> None:
    world.spawn(primary.restart_agent(0.5))


async def pause_agent(world: World, primary: Member) -> None:
    gate = primary.gate
    gate.stop()
    world.later(30.0, gate.go_on)


async def kill_postgres(world: World, primary: Member) -> None:
    primary.server.die("killed")


async def kill_container(world: World, primary: Member) -> None:
    world.spawn(primary.restart_container("killed", 1.0))


async def delete_pod(world: World, primary: Member) -> None:
    world.spawn(primary.replace_pod(graceful=True))


async def delete_pod_by_force(world: World, primary: Member) -> None:
    world.spawn(primary.replace_pod(graceful=False))


async def isolate(world: World, primary: Member) -> None:
    world.network.darken(primary.name)
    world.api_dark(primary.name, True)

    def back() -> None:
        world.network.lighten(primary.name)
        world.api_dark(primary.name, False)

    world.later(30.0, back)


async def lose_api(world: World, primary: Member) -> None:
    for member in world.members:
        world.api_dark(member.name, True)
        world.later(60.0, lambda name=member.name: world.api_dark(name, False))  # type: ignore[misc]


async def lose_api_and_postgres(world: World, primary: Member) -> None:
    await lose_api(world, primary)
    await asyncio.sleep(world.plan.settings["loop_wait"] + 0.5 * world.seed)
    primary.server.die("killed")


async def lose_replicas(world: World, primary: Member) -> None:
    for member in world.members:
        if member is not primary:
            world.spawn(member.restart_container("killed", 20.0))


async def lose_a_replica(world: World, primary: Member) -> None:
    lost = next(member for member in world.members if member is not primary)
    world.spawn(lost.restart_container("killed", 20.0))


async def switch_over(world: World, primary: Member) -> None:
    candidate = next(member.name for member in world.members if member is not primary)
    world.administrator.ask(primary.name, candidate)
    await asyncio.sleep(20.0)
    assert world.truth.holder == candidate, "\n".join(world.trace.lines(60))


ASYNC = {"synchronous_mode": False}
QUORUM = {"synchronous_mode": "quorum"}
SCENARIOS: list[tuple[str, Deed, dict[str, Any], float, float]] = [
    ("the agent is killed", kill_agent, {}, 0.3, 20.0),
    ("the agent hangs past the TTL", pause_agent, {}, 14.0, 45.0),
    ("Postgres is killed", kill_postgres, {}, 5.0, 20.0),
    ("the container is killed", kill_container, {}, 2.0, 30.0),
    ("the pod is deleted", delete_pod, {}, 2.0, 40.0),
    ("the pod is deleted by force", delete_pod_by_force, {}, 2.0, 40.0),
    ("the node is isolated", isolate, {}, 5.0, 60.0),
    ("the node is isolated, asynchronous", isolate, ASYNC, 11.5, 60.0),
    ("the node is isolated, quorum", isolate, QUORUM, 5.0, 60.0),
    ("one replica dies, quorum", lose_a_replica, QUORUM, 0.3, 45.0),
    ("both replicas die, quorum", lose_replicas, QUORUM, 1.0, 45.0),
    ("the pod is deleted, quorum", delete_pod, QUORUM, 2.0, 40.0),
    ("a switchover is asked for, quorum", switch_over, QUORUM, 2.0, 10.0),
    ("the API server is gone for a minute", lose_api, {}, 0.3, 90.0),
    ("the API server is gone, and Postgres is killed", lose_api_and_postgres, {}, 5.0, 90.0),
    ("both replicas die", lose_replicas, {}, 1.0, 45.0),
    ("both replicas die, asynchronous", lose_replicas, ASYNC, 0.3, 45.0),
    ("a switchover is asked for", switch_over, {}, 2.0, 10.0),
    ("a switchover is asked for, asynchronous", switch_over, ASYNC, 2.0, 10.0),
]


@pytest.mark.parametrize(
    ("deed", "settings", "limit_s", "after_s"), [s[1:] for s in SCENARIOS], ids=[s[0] for s in SCENARIOS]
)
def test_outage(deed: Deed, settings: dict[str, Any], limit_s: float, after_s: float) -> None:
    gaps = [outage(deed, a_plan(**settings), seed, after_s) for seed in (1, 2, 3)]
    print(f"outages: {', '.join(f'{gap:.2f}' for gap in gaps)} s")
    assert max(gaps) <= limit_s
