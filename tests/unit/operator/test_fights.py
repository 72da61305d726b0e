"""Somebody else undoes what the operator does, again and again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from unit.operator.world import World

from matriarch.kube import api
from matriarch_operator.reconcile import SOON_S


async def _degraded(world: World) -> str:
    found = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    return str(found["message"]) if found["status"] == "True" else ""


async def test_what_is_changed_back_each_time_is_named_and_tried_less_and_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = type(world.kube).apply

    async def mutating(client: Any, kind: api.Kind, namespace: str, name: str, body: Any, **named: Any) -> api.Object:
        """A policy that gives every Service of replicas another selector."""
        if name == "demo-ro":
            body = body | {"spec": body["spec"] | {"selector": {"role": "policy"}}}
        return await apply(client, kind, namespace, name, body, **named)

    with monkeypatch.context() as patched:
        patched.setattr(type(world.kube), "apply", mutating)
        await world.apply(serviceAnnotations={"a": "b"})
        waits = []
        for _ in range(20):
            await world.look()
            waits.append(world.wake or 0.0)
            world.now += timedelta(seconds=waits[-1])
        assert waits == sorted(waits) and waits[-1] == SOON_S[1]
        told = await _degraded(world)
        assert told.startswith("done again and again without effect: apply Service demo-ro; another program or")
        events = [one for one in (await world.everything(api.EVENTS)).values() if one["message"] == told]
        assert [one["count"] for one in events] == [1]
    await world.settle()
    assert await _degraded(world) == ""
