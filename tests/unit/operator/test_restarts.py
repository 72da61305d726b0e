"""Restarts run outside of the workers, on virtual time: one per cluster, told of when they are over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from unit.operator.world import World

from matriarch.fleet.actions import Note, Restart
from matriarch.kube import api
from matriarch.testing.virtual_time import run
from matriarch.words import labels
from matriarch.words.errors import Forbidden, MatriarchError, Unavailable
from matriarch_operator.restarts import SETTLE_S, Restarts
from matriarch_operator.store import ClusterKey

KEY = ("db", "demo")
WANTED = Restart("demo-1", "10.0.0.2", "replica", told=(Note("RestartedPostgres", "restarted"),))
TAKES_S = 80.0


class _Members:
    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._error = error

    async def restart(self, namespace: str, wanted: Restart) -> None:
        self.asked.append(f"{namespace}/{wanted.member}")
        await asyncio.sleep(TAKES_S)
        if self._error is not None:
            raise self._error


def _restarted(error: Exception | None) -> tuple[float, MatriarchError | None]:
    """When the cluster is looked at again, and what is told then."""

    async def story() -> tuple[float, MatriarchError | None]:
        woken = asyncio.Event()
        restarts = Restarts(_Members(error), lambda _: woken.set())
        restarts.begin(KEY, WANTED)
        assert asyncio.get_running_loop().time() == 0.0, "nobody waits for it"
        assert restarts.under_way(KEY) == WANTED
        assert restarts.ended(KEY) is None
        await woken.wait()
        assert restarts.under_way(KEY) is None
        ended = restarts.ended(KEY)
        assert ended is not None
        assert ended.wanted == WANTED
        assert restarts.ended(KEY) is None, "told once"
        return asyncio.get_running_loop().time(), ended.error

    return run(story())


def test_the_end_of_a_restart_wakes_the_cluster_when_its_member_has_told_of_it() -> None:
    assert _restarted(None) == (TAKES_S + SETTLE_S, None)


def test_a_failure_wakes_the_cluster_at_once() -> None:
    error = Forbidden("answered 403")
    assert _restarted(error) == (TAKES_S, error)


def test_a_bug_does_not_leave_the_cluster_waiting() -> None:
    _, error = _restarted(ZeroDivisionError("secret"))
    assert isinstance(error, Unavailable)
    assert "secret" not in str(error)


def test_clusters_do_not_wait_for_each_other() -> None:
    async def story() -> None:
        members = _Members()
        woken: list[ClusterKey] = []
        restarts = Restarts(members, woken.append)
        keys = [("db", f"demo{number}") for number in range(10)]
        for key in keys:
            restarts.begin(key, WANTED)
        await asyncio.sleep(TAKES_S + SETTLE_S + 1)
        assert woken == keys

    run(story())


async def test_another_attempt_that_takes_its_time_is_waited_for(world: World) -> None:
    """The rest after the first attempt is over then: it is no reason to look again at once, and again."""
    world.unwilling = Forbidden("answered 403")
    world.pending = {"demo-1": {"max_connections": {"old_value": "100", "new_value": "200"}}}
    await world.act()
    await world.look()
    assert world.asked == 1
    world.slow = asyncio.Event()
    for _ in range(10):
        world.now += timedelta(seconds=1)
        await world.look()
        await world.act()
    assert world.asked == 2
    assert world.wake is None or world.wake >= 1
    world.slow.set()


async def test_a_look_waits_for_no_restart_and_asks_for_it_once(world: World) -> None:
    world.slow = asyncio.Event()
    world.pending = {"demo-1": {"max_connections": {"old_value": "100", "new_value": "200"}}}
    for _ in range(5):
        await world.look()
        await world.act()
        world.now += timedelta(seconds=1)
    assert (world.asked, world.wake) == (1, 2.0)
    assert (await world.status())["phase"] == "Restarting"
    assert "RestartedPostgres" not in await world.events(), "it is told when it is over"
    world.slow.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.restarts.under_way(KEY) is None
    await world.act()  # its pod tells of it
    await world.settle()
    assert world.restarted == ["demo-1"]
    assert "RestartedPostgres" in await world.events()


@pytest.mark.parametrize(
    ("wish", "doing"),
    [
        ({"image": "matriarch/postgres:new"}, "rolling update waits until demo-1 has restarted"),
        ({"instances": 2}, "scaling down waits until demo-1 has restarted"),
    ],
)
async def test_a_change_of_the_spec_takes_no_member_away_while_another_restarts(
    world: World, wish: dict[str, Any], doing: str
) -> None:
    """The member has the request, and its pod says still that all is well."""
    world.slow = asyncio.Event()
    world.pending = {"demo-1": {"max_connections": {"old_value": "100", "new_value": "200"}}}
    await world.act()
    await world.look()
    assert world.asked == 1
    before = set(await world.everything(api.PODS)), world.switchovers[:]
    uids = {pod["metadata"]["uid"] for pod in (await world.everything(api.PODS)).values()}
    await world.apply(**wish)
    for _ in range(4):
        await world.look()
        await world.act()
    pods = await world.everything(api.PODS)
    assert (set(pods), world.switchovers) == before
    assert {pod["metadata"]["uid"] for pod in pods.values()} == uids
    progressing = {one["type"]: one for one in (await world.status())["conditions"]}["Progressing"]
    assert progressing["message"] == doing
    world.slow.set()
    await world.settle()
    assert (world.restarted, (await world.status())["phase"]) == (["demo-1"], "Running")
    assert {pod["metadata"]["uid"] for pod in (await world.everything(api.PODS)).values()} != uids


async def test_a_persons_switchover_does_not_wait_for_a_restart(world: World) -> None:
    world.slow = asyncio.Event()
    world.pending = {"demo-1": {"max_connections": {"old_value": "100", "new_value": "200"}}}
    await world.act()
    await world.look()
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    for _ in range(4):
        await world.look()
        await world.act()
    assert (await world.status())["primary"] == "demo-2"
    world.slow.set()
    await world.settle()
