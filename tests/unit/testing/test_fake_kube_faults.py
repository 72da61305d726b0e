from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from matriarch.kube.api import ENDPOINTS, PODS, Object
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_faults import ApiFaults
from matriarch.testing.virtual_time import run
from matriarch.words.errors import (
    ConflictError,
    DeadlineSpent,
    Forbidden,
    MatriarchError,
    NotFound,
    Throttled,
    Unavailable,
)


class World:
    def __init__(self, seed: int = 0) -> None:
        self.server = FakeKubeServer(random.Random(seed), guard=True)
        self.kube = self.server.client("a")
        self.faults = self.server.faults_for("a")
        self.server.store.seed(ENDPOINTS, "ns", {"metadata": {"name": "demo", "annotations": {"leader": "x"}}})

    async def take(self, leader: str, timeout: float = 3.0) -> Object:
        patch = {"metadata": {"annotations": {"leader": leader}}}
        return await self.kube.patch(ENDPOINTS, "ns", "demo", patch, timeout=timeout)

    def leader(self) -> str:
        leader = self.server.store.get(ENDPOINTS, "ns", "demo")["metadata"]["annotations"]["leader"]
        assert isinstance(leader, str)
        return leader


def now() -> float:
    return asyncio.get_running_loop().time()


def play(test: Callable[[World], Coroutine[Any, Any, Any]], seed: int = 0) -> Any:
    async def main() -> Any:
        return await test(World(seed))

    return run(main())


def test_an_outage_hangs_and_changes_nothing() -> None:
    async def test(world: World) -> None:
        world.faults.outage = True
        with pytest.raises(DeadlineSpent):
            await world.take("y")
        assert (now(), world.leader()) == (3.0, "x")
        world.faults.outage = False
        await asyncio.sleep(60)
        assert world.leader() == "x"

    play(test)


def test_an_outage_of_one_is_none_of_another() -> None:
    async def test(world: World) -> None:
        world.faults.outage = True
        await world.server.client("b").get(ENDPOINTS, "ns", "demo")
        assert now() == 0

    play(test)


def test_a_late_write_happens_after_its_caller_gave_up() -> None:
    async def test(world: World) -> None:
        world.faults.outage, world.faults.late = True, 1.0
        with pytest.raises(DeadlineSpent):
            await world.take("y")
        assert world.leader() == "x"
        world.faults.outage = False
        await asyncio.sleep(5)
        assert world.leader() == "y"

    play(test)


def test_a_late_write_still_compares() -> None:
    async def test(world: World) -> None:
        world.faults.outage, world.faults.late = True, 1.0
        version = world.server.store.get(ENDPOINTS, "ns", "demo")["metadata"]["resourceVersion"]
        swap = {"metadata": {"resourceVersion": version, "annotations": {"leader": "late"}}}
        with pytest.raises(DeadlineSpent):
            await world.kube.patch(ENDPOINTS, "ns", "demo", swap, timeout=1)
        world.server.store.seed(ENDPOINTS, "ns", {"metadata": {"name": "demo", "annotations": {"leader": "other"}}})
        world.faults.outage = False
        await asyncio.sleep(20)
        assert world.leader() == "other"

    play(test)


def test_a_cancelled_request_on_its_way_still_arrives() -> None:
    async def test(world: World) -> None:
        world.faults.latency = (0.5, 0.5)
        task = asyncio.create_task(world.take("y"))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.sleep(1)
        assert task.cancelled()
        assert world.leader() == "y"

    play(test)


def test_an_answer_lost_in_an_outage_leaves_the_write_done() -> None:
    async def test(world: World) -> None:
        world.faults.latency = (0.5, 0.5)
        task = asyncio.create_task(world.take("y"))
        await asyncio.sleep(0.6)
        world.faults.outage = True
        with pytest.raises(DeadlineSpent):
            await task
        assert world.leader() == "y"

    play(test)


def test_latency_is_paid_each_way() -> None:
    async def test(world: World) -> None:
        world.faults.latency = (0.2, 0.2)
        await world.take("y")
        assert now() == pytest.approx(0.4)

    play(test)


def test_a_lost_reply_is_applied() -> None:
    async def test(world: World) -> None:
        world.faults.lost_reply = 1.0
        outcomes = set()
        for number in range(20):
            with pytest.raises((Unavailable, DeadlineSpent)) as caught:
                await world.take(str(number))
            outcomes.add(caught.type)
            assert world.leader() == str(number)
        assert outcomes == {Unavailable, DeadlineSpent}

    play(test)


def test_reads_are_spared_where_only_writes_fail() -> None:
    async def test(world: World) -> None:
        world.faults.writes_fail = True
        world.faults.lost_reply = world.faults.conflict = 1.0
        await world.kube.get(ENDPOINTS, "ns", "demo")
        await world.kube.list(ENDPOINTS, None)
        with pytest.raises(Unavailable):
            await world.take("y")
        assert world.leader() == "x"

    play(test)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("conflict", ConflictError), ("forbidden", Forbidden), ("throttled", Throttled), ("overloaded", Unavailable)],
)
def test_a_spurious_refusal_writes_nothing(fault: str, error: type[MatriarchError]) -> None:
    async def test(world: World) -> None:
        setattr(world.faults, fault, 1.0)
        with pytest.raises(error):
            await world.take("y")
        assert world.leader() == "x"

    play(test)


def test_a_server_error_may_have_written() -> None:
    async def test(world: World) -> None:
        world.faults.server_error = 1.0
        happened = []
        for number in range(30):
            with pytest.raises(Unavailable):
                await world.take(str(number))
            happened.append(world.leader() == str(number))
        assert set(happened) == {True, False}

    play(test)


def test_lagging_events_keep_their_order() -> None:
    async def test(world: World) -> None:
        world.faults.watch_lag = (0.1, 3.0)
        version = str(world.server.store.version)
        for number in range(20):
            await world.take(str(number))
        watch = world.kube.watch(ENDPOINTS, "ns", version=version)
        seen = [(await anext(watch)).object["metadata"]["annotations"]["leader"] for _ in range(20)]
        assert seen == [str(number) for number in range(20)]
        assert 1.0 < now() <= 3.0

    play(test)


def test_faults_can_be_cleared() -> None:
    faults = ApiFaults(outage=True, latency=(1, 2), gone=0.5)
    faults.clear()
    assert faults == ApiFaults()


def test_who_changes_what_was_handed_out_is_found() -> None:
    async def test(world: World) -> None:
        item = await world.kube.get(ENDPOINTS, "ns", "demo")
        item["metadata"]["annotations"]["leader"] = "y"
        with pytest.raises(AssertionError, match="somebody changed"):
            await world.kube.get(ENDPOINTS, "ns", "demo")

    play(test)


def test_what_a_caller_changes_after_sending_is_not_sent() -> None:
    async def test(world: World) -> None:
        world.faults.latency = (1.0, 1.0)
        body: Object = {"metadata": {"name": "new", "annotations": {"leader": "sent"}}}
        task = asyncio.create_task(world.kube.create(ENDPOINTS, "ns", body))
        await asyncio.sleep(0.5)
        body["metadata"]["annotations"]["leader"] = "changed"
        assert (await task)["metadata"]["annotations"]["leader"] == "sent"

    play(test)


def test_observers_see_every_change_as_it_happens() -> None:
    async def test(world: World) -> None:
        seen: list[tuple[str, int]] = []
        world.server.observe(lambda kind, change: seen.append((change.type, change.version)))
        first = world.server.store.version
        await world.take("y")
        await world.take("y")
        await world.kube.delete(ENDPOINTS, "ns", "demo")
        assert seen == [("MODIFIED", first + 1), ("DELETED", first + 2)]

    play(test)


def test_a_pod_is_deleted_in_two_steps_when_a_kubelet_is_played() -> None:
    async def test(world: World) -> None:
        world.server.store.graceful_pods = True
        world.server.store.seed(PODS, "ns", {"metadata": {"name": "demo-0"}, "status": {"podIP": "10.0.0.1"}})
        await world.kube.delete(PODS, "ns", "demo-0", grace_period_s=5)
        pod = await world.kube.get(PODS, "ns", "demo-0")
        assert pod["metadata"]["deletionGracePeriodSeconds"] == 5
        assert pod["status"] == {"podIP": "10.0.0.1"}
        await world.kube.patch(PODS, "ns", "demo-0", {"metadata": {"labels": {"role": "replica"}}})
        await world.kube.delete(PODS, "ns", "demo-0", grace_period_s=0)
        with pytest.raises(NotFound):
            await world.kube.get(PODS, "ns", "demo-0")

    play(test)


def test_a_seed_replays_exactly() -> None:
    async def test(world: World) -> list[str]:
        for identity in "abc":
            faults = world.server.faults_for(identity)
            faults.latency, faults.lost_reply, faults.server_error = (0.0, 1.0), 0.2, 0.1
            faults.conflict, faults.watch_lag, faults.drop_watch = 0.1, (0.0, 1.0), 0.1
        log: list[str] = []

        async def writer(identity: str) -> None:
            kube = world.server.client(identity)
            for number in range(30):
                patch = {"metadata": {"annotations": {"leader": f"{identity}{number}"}}}
                try:
                    await kube.patch(ENDPOINTS, "ns", "demo", patch, timeout=1.5)
                    log.append(f"{now():.6f} {identity} wrote {number}")
                except MatriarchError as error:
                    log.append(f"{now():.6f} {identity} {error!r}")

        async def reader(identity: str) -> None:
            version = "101"
            while now() < 20:
                try:
                    async for event in world.server.client(identity).watch(
                        ENDPOINTS, "ns", version=version, idle_timeout=5
                    ):
                        version = event.object["metadata"]["resourceVersion"]
                        log.append(f"{now():.6f} {identity} saw {version}")
                except MatriarchError as error:
                    log.append(f"{now():.6f} {identity} {error!r}")
                    await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for identity in "abc":
                group.create_task(writer(identity))
                group.create_task(reader(identity))
        return log

    first = play(test, seed=7)
    assert len(first) > 150
    assert play(test, seed=7) == first
    assert play(test, seed=8) != first
