"""The operator dies at each of its writes, before it or right after: its successor comes to the same end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from unit.operator.world import NAMESPACE, World

from matriarch.kube import api
from matriarch.words import labels

WRITES = ("create", "apply", "patch", "delete")


class Died(Exception):
    """This process is no more."""


class Death:
    """Counts the operator's writes, and ends it at the one with a number."""

    def __init__(self, world: World, at: int, *, written: bool) -> None:
        self.writes = 0
        self._at, self._written = at, written
        for name in WRITES:
            setattr(world.kube, name, self._counted(getattr(world.kube, name)))

    def _counted(self, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*given: Any, **named: Any) -> Any:
            self.writes += 1
            if self.writes != self._at:
                return await write(*given, **named)
            if self._written:
                await write(*given, **named)
            raise Died

        return counted


async def _made(world: World) -> None:
    await world.apply()


async def _rolled(world: World) -> None:
    await world.apply(image="matriarch/postgres:new")


async def _switched(world: World) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")


async def _refused(world: World) -> None:
    await world.annotate(labels.REQUEST_SWITCHOVER, "nobody")


async def _scaled(world: World) -> None:
    await world.apply(instances=2, storage={"size": "1Gi", "reclaimPolicy": "Delete"})


async def _deleted(world: World) -> None:
    await world.outside.delete(api.CLUSTERS, NAMESPACE, "demo")


async def _with_last_member_leading(world: World) -> None:
    await world.apply()
    await world.settle()
    await world.annotate(labels.REQUEST_SWITCHOVER, "demo-2")
    await world.settle()


async def _running(world: World) -> None:
    await world.apply()
    await world.settle()


async def _nothing(_: World) -> None:
    pass


Part = Callable[[World], Awaitable[None]]
STORIES: dict[str, tuple[Part, Part]] = {
    "making a cluster": (_nothing, _made),
    "a rolling update": (_running, _rolled),
    "a switchover": (_running, _switched),
    "a refused switchover": (_running, _refused),
    "scaling the primary away": (_with_last_member_leading, _scaled),
    "deleting": (_running, _deleted),
}


async def _end(before: Part, story: Part, at: int, *, written: bool) -> tuple[dict[str, Any], int]:
    """What is there when all has come to rest, and how many writes there were."""
    world = World()
    await before(world)
    await story(world)
    death = Death(world, at, written=written)
    for _ in range(20):
        try:
            await world.settle()
        except Died:
            world.start_operator()
        else:
            break
    return await _state(world), death.writes


async def _state(world: World) -> dict[str, Any]:
    kinds = (api.PODS, api.CLAIMS, api.SECRETS, api.SERVICES, api.ENDPOINTS, api.STATEFUL_SETS, api.BUDGETS)
    found: dict[str, Any] = {kind.name: sorted(await world.everything(kind)) for kind in kinds}
    # "Replacing pod" says what is about to happen, and an operator that dies over it may leave it unsaid.
    found["events"] = [reason for reason in await world.events() if reason != "ReplacingPod"]
    found["images"] = {pod["spec"]["containers"][0]["image"] for pod in (await world.everything(api.PODS)).values()}
    for cluster in (await world.everything(api.CLUSTERS)).values():
        status = cluster["status"]
        found["phase"], found["primary"] = status["phase"], status["primary"]
        last = status.get("lastSwitchover") or {}
        found["switchover"] = {key: last.get(key) for key in ("from", "to", "outcome", "requestedBy")}
        found["asked"] = cluster["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize("written", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("name", STORIES)
async def test_an_operator_that_dies_at_any_write_changes_nothing_in_the_end(name: str, written: bool) -> None:
    undisturbed, writes = await _end(*STORIES[name], at=0, written=written)
    assert writes > 2
    for at in range(1, writes + 1):
        state, _ = await _end(*STORIES[name], at=at, written=written)
        assert state == undisturbed, f"killed at write {at} of {writes}"
