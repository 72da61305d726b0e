"""A cluster that a person paused with patronictl, and one that the spec pauses."""

from __future__ import annotations

import json

from unit.operator.world import NAMESPACE, World

from matriarch.kube import api
from matriarch.words import names


async def _config(world: World) -> dict[str, object]:
    found = (await world.everything(api.ENDPOINTS))["demo-config"]["metadata"]["annotations"]["config"]
    document = json.loads(found)
    assert isinstance(document, dict)
    return document


async def _by_hand(world: World, **change: object) -> None:
    """As `patronictl pause` and `resume` do: through the members, into the settings."""
    document = {**await _config(world), **change}
    kept = {key: value for key, value in document.items() if value is not None}
    body = {"metadata": {"annotations": {"config": json.dumps(kept)}}}
    await world.outside.patch(api.ENDPOINTS, NAMESPACE, names.config_object("demo"), body)


async def test_a_pause_by_hand_stays_until_a_resume_by_hand() -> None:
    world = World()
    await world.apply()
    await world.settle()
    await _by_hand(world, pause=True)
    await world.apply(image="matriarch/postgres:new")
    await world.settle()
    assert (await _config(world))["pause"] is True
    assert (await world.status())["phase"] == "Paused"
    pods = await world.everything(api.PODS)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {"matriarch/postgres:test"}
    await _by_hand(world, pause=None)
    await world.settle()
    assert "pause" not in await _config(world)
    pods = await world.everything(api.PODS)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {"matriarch/postgres:new"}


async def test_what_the_spec_pauses_is_put_back_and_ends_with_the_spec() -> None:
    world = World()
    await world.apply(paused=True)
    await world.settle()
    await _by_hand(world, pause=None)
    await world.settle()
    assert (await _config(world))["pause"] is True
    await world.apply(paused=False)
    await world.settle()
    assert not {"pause", "pause_from_spec"} & (await _config(world)).keys()
