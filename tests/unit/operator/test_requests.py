"""Annotations by which a person means to ask for something."""

from __future__ import annotations

from unit.operator.world import World

from matriarch.kube import api


async def _degraded(world: World) -> tuple[str, str]:
    found = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    return found["status"], found["message"]


async def test_a_misspelled_annotation_is_told_once_with_those_that_exist(world: World) -> None:
    await world.annotate("matriarch.dev/swichover", "demo-1")
    await world.annotate("example.com/switchover", "demo-1")
    for _ in range(3):
        await world.settle()
    told = "annotation matriarch.dev/swichover means nothing: use matriarch.dev/switchover, or remove it"
    assert await _degraded(world) == ("True", told)
    events = [one for one in (await world.everything(api.EVENTS)).values() if one["reason"] == "NeedsAttention"]
    assert [(one["message"], one["type"], one["count"]) for one in events] == [(told, "Warning", 1)]
    ready = {one["type"]: one for one in (await world.status())["conditions"]}["Ready"]
    assert ready["status"] == "True", "nothing is wrong with the members"
    await world.annotate("matriarch.dev/swichover", None)
    await world.settle()
    assert (await world.status())["phase"] == "Running"
    assert world.switchovers == [("", "demo-0")]
