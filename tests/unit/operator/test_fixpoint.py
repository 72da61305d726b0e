"""Whatever people ask for, in whatever order, and whenever the operator dies: it comes to rest, and nobody is hurt."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.operator.world import KEY, NAME, NAMESPACE, World

from matriarch.fleet.plan import decide
from matriarch.kube import api
from matriarch.testing.fake_kube_store import Change
from matriarch.words import labels

WISHES = st.one_of(
    st.builds(lambda count: {"instances": count}, st.integers(1, 6)),
    st.builds(lambda tag: {"image": f"pg:{tag}"}, st.integers(1, 3)),
    st.builds(lambda size: {"parameters": {"work_mem": f"{size}MB"}}, st.integers(1, 3)),
    st.builds(lambda value: {"paused": value}, st.booleans()),
    st.builds(lambda mode: {"synchronous": {"mode": mode}}, st.sampled_from(["on", "off"])),
    st.builds(lambda policy: {"storage": {"reclaimPolicy": policy}}, st.sampled_from(["Retain", "Delete"])),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wish"), WISHES),
        st.tuples(st.just("switchover"), st.sampled_from(["any", "demo-0", "demo-1", "demo-2", "nobody"])),
        st.tuples(st.just("break"), st.integers(0, 2)),
        st.tuples(st.just("heal"), st.none()),
        st.tuples(st.just("kill"), st.none()),
        st.tuples(st.just("look"), st.integers(1, 4)),
    ),
    max_size=12,
)


class Witness:
    """Checks every pod that goes away, in the moment in which it does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.breaches: list[str] = []
        world.server.observe(self.saw)

    def saw(self, kind: api.Kind, change: Change) -> None:
        if kind.name != "Pod" or change.type != "DELETED":
            return
        name = change.object["metadata"]["name"]
        tables = self.world.server.store
        lock = tables.list(api.ENDPOINTS, NAMESPACE).items
        leader = next(one["metadata"].get("annotations", {}).get("leader") for one in lock if _name(one) == NAME)
        others = [pod for pod in tables.list(api.PODS, NAMESPACE).items if _name(pod) != name]
        if name == leader and others:
            self.breaches.append(f"{name} was removed while it held the lock")


def _name(found: api.Object) -> str:
    return str(found["metadata"]["name"])


async def _story(steps: list[tuple[str, Any]]) -> None:
    world = World()
    await world.apply()
    await world.settle()
    witness = Witness(world)
    for what, value in steps:
        await _take(world, what, value)
    world.broken = set()
    await world.apply(paused=False)
    await world.settle(200)
    assert witness.breaches == []
    status = await world.status()
    assert status["phase"] == "Running", json.dumps(status, indent=1)
    instances = (await world.cluster())["spec"].get("instances", 3)
    assert set(await world.everything(api.PODS)) == {f"demo-{number}" for number in range(instances)}
    assert labels.REQUEST_SWITCHOVER not in (await world.cluster())["metadata"].get("annotations", {})
    world.start_operator()
    assert not await world.look()
    view = world.reconciler._observe(KEY)
    assert view is not None
    assert decide(view).empty


async def _take(world: World, what: str, value: Any) -> None:
    match what:
        case "wish":
            await world.apply(**value)
        case "switchover":
            await world.annotate(labels.REQUEST_SWITCHOVER, value)
        case "break":
            # A primary's death is the members' affair; here only replicas fall ill.
            leader = (await world.status()).get("primary")
            world.broken = {name for name in (f"demo-{value}",) if name != leader}
        case "heal":
            world.broken = set()
        case "kill":
            world.start_operator()
        case "look":
            for _ in range(value):
                await world.look()
                await world.act()


@settings(max_examples=60)
@given(STEPS)
def test_it_comes_to_rest_and_never_removes_the_primary_under_its_clients(steps: list[tuple[str, Any]]) -> None:
    asyncio.run(_story(steps))
