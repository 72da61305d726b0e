"""Each fault really happens: what it does to a healthy cluster, seen in the fakes themselves and not in an agent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from matriarch.kube.api import PODS
from matriarch.testing.fake_postgres_stream import refusal
from matriarch.testing.fake_postgres_wal import CHECKPOINT_EVERY
from matriarch.testing.virtual_time import run
from matriarch.words.errors import Unavailable
from simulation.clients import Client
from simulation.faults import FAULTS
from simulation.member import Member
from simulation.plan import Plan
from simulation.test_scenarios import a_plan
from simulation.world import World

Look = Callable[[World, Member], Awaitable[None]]


def healthy(look: Look, plan: Plan | None = None) -> World:
    """A cluster that has formed, looked at by `look` with its primary."""

    async def live() -> World:
        world = World(1, plan or a_plan())
        world.start()
        await world.whole(60.0)
        await look(world, next(member for member in world.members if member.server.writable))
        return world

    return run(live())


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_fault_can_be_injected_at_any_time_and_the_cluster_recovers(kind: str) -> None:
    async def live() -> None:
        world = World(3, a_plan())
        world.start()
        await asyncio.sleep(2.0)
        rng = random.Random(kind)
        FAULTS[kind](world, rng)
        await world.whole(120.0)
        FAULTS[kind](world, rng)
        await asyncio.sleep(5.0)
        await world._heal()
        await world.whole(120.0)
        assert world.found is None, "\n".join(world.trace.lines(60))

    run(live())


def test_reads_come_from_the_past_and_writes_go_to_the_present() -> None:
    async def look(world: World, primary: Member) -> None:
        kube = world.kube.client("reader")
        await kube.patch(PODS, "default", "demo-0", {"metadata": {"labels": {"colour": "old"}}})
        await asyncio.sleep(3.0)
        await kube.patch(PODS, "default", "demo-0", {"metadata": {"labels": {"colour": "new"}}})
        now = await kube.get(PODS, "default", "demo-0")
        world.kube.faults_for("reader").stale_s = 2.0
        old = await kube.get(PODS, "default", "demo-0")
        listing = await kube.list(PODS, "default")
        assert (now["metadata"]["labels"]["colour"], old["metadata"]["labels"]["colour"]) == ("new", "old")
        assert listing.items[0] == old and int(listing.version) < int(now["metadata"]["resourceVersion"])
        await asyncio.sleep(3.0)
        assert (await kube.get(PODS, "default", "demo-0"))["metadata"]["labels"]["colour"] == "new"

    healthy(look)


def test_a_server_that_only_takes_writes_answers_no_read_and_brings_no_event() -> None:
    async def look(world: World, primary: Member) -> None:
        kube = world.kube.client("reader")
        world.kube.faults_for("reader").reads_fail = True
        with pytest.raises(Unavailable):
            await kube.get(PODS, "default", "demo-0")
        with pytest.raises(Unavailable):
            await kube.list(PODS, "default")
        await kube.patch(PODS, "default", "demo-0", {"metadata": {"labels": {"colour": "new"}}})

    healthy(look)


def test_a_primary_without_space_panics_and_does_not_start() -> None:
    async def look(world: World, primary: Member) -> None:
        primary.volume.full = True
        await asyncio.sleep(5.0)
        assert not primary.server.writable
        assert any("PANIC" in line for line in world.trace.lines())
        await asyncio.sleep(20.0)
        assert not primary.server.writable
        primary.volume.full = False
        await world.whole(60.0)

    healthy(look)


def test_a_replica_without_space_takes_nothing_in() -> None:
    async def look(world: World, primary: Member) -> None:
        replica = next(member for member in world.members if member is not primary)
        replica.volume.full = True
        await asyncio.sleep(2.0)
        at = replica.server.disk.flushed
        await asyncio.sleep(10.0)
        assert replica.server.disk.flushed == at < primary.server.disk.flushed

    healthy(look)


def test_wal_that_no_slot_holds_is_removed_and_cannot_be_streamed_any_more() -> None:
    plan = a_plan(synchronous_mode=False)
    plan.hazards.wal_keep = 0

    async def look(world: World, primary: Member) -> None:
        replica = next(member for member in world.members if member is not primary)
        replica.server.die("killed")
        slot = replica.name.replace("-", "_")
        held = primary.server.disk.retained_from
        primary.server.insert(2 * CHECKPOINT_EVERY)
        assert primary.server.disk.retained_from <= primary.server.disk.slots[slot]
        primary.server.disk.slots.clear()
        primary.server.insert(2 * CHECKPOINT_EVERY)
        assert primary.server.disk.retained_from > held
        assert refusal(primary.server, replica.server, "") == "requested WAL segment has already been removed"

    healthy(look, plan)


def test_a_starved_agent_does_everything_slowly() -> None:
    async def look_takes(drag: float) -> float:
        world = World(1, a_plan())
        world.start()
        await world.whole(60.0)
        member = world.members[0]
        member.gate.drag = (lambda: drag) if drag else None
        began = asyncio.get_running_loop().time()
        assert member.agent is not None
        await member.agent.look()
        return asyncio.get_running_loop().time() - began

    assert run(look_takes(0.5)) >= 2 * 0.5 > run(look_takes(0.0))


def test_a_reset_connection_is_noticed_on_both_sides_at_once() -> None:
    async def look(world: World, primary: Member) -> None:
        links = list(primary.server.links.values())
        links[0].reset()
        assert not links[0].sender_open and not links[0].receiver_open
        assert links[0].name not in primary.server.links

    healthy(look)


def test_after_a_power_cut_every_pod_has_another_address_and_the_api_server_learns_it_when_it_can() -> None:
    async def look(world: World, primary: Member) -> None:
        before = {member.name: (member.ip, member.uid) for member in world.members}
        for member in world.members:
            world.api_dark(member.name, True)
            member.kill_container("no power", machine=True)
            member.readdress()
        await asyncio.sleep(5.0)
        for member in world.members:
            shown = world.kube.store.get(PODS, "default", member.name)
            assert shown["status"]["podIP"] == before[member.name][0] != member.ip
            world.api_dark(member.name, False)
            member.start_container()
        await asyncio.sleep(2.0)
        for member in world.members:
            shown = world.kube.store.get(PODS, "default", member.name)
            assert (shown["status"]["podIP"], shown["metadata"]["uid"]) == (member.ip, before[member.name][1])
        await world.whole(90.0)

    healthy(look)


def test_a_node_without_the_api_server_keeps_its_old_routes() -> None:
    async def look(world: World, primary: Member) -> None:
        other, third = (member for member in world.members if member is not primary)
        local, remote = Client(world, 500, local=other), Client(world, 501)
        world.api_dark(other.name, True)
        world.administrator.ask(primary.name, third.name)
        await asyncio.sleep(30.0)
        assert world.truth.holder == third.name
        assert local._server() is primary.server
        assert remote._server() is third.server

    healthy(look, a_plan(synchronous_mode=False))


def test_a_member_that_joins_late_has_no_pod_before() -> None:
    plan = a_plan()
    plan.late = {2: 40.0}

    async def live() -> None:
        world = World(1, plan)
        world.start()
        await asyncio.sleep(30.0)
        assert len(world.kube.store.list(PODS, "default").items) == 2
        await world.whole(90.0)
        assert len(world.kube.store.list(PODS, "default").items) == 3

    run(live())
