"""Changes that meet a broken member, with the operator's real code: who is replaced or removed, and who is kept."""

from __future__ import annotations

from unit.operator.world import NAME, NAMESPACE, World

from matriarch.kube import api


async def _images(world: World) -> list[str]:
    """The tags of the members' images, by ordinal."""
    pods = sorted((await world.everything(api.PODS)).items())
    return [pod["spec"]["containers"][0]["image"].removeprefix("matriarch/postgres:") for _, pod in pods]


async def test_a_rolling_update_waits_for_an_unwell_member(world: World) -> None:
    """The new template may be what cures it, so it comes first; nobody else is touched before it is well."""
    world.broken = {"demo-2"}
    await world.apply(image="matriarch/postgres:new")
    await world.settle()
    assert await _images(world) == ["test", "test", "new"]
    assert (await world.status())["phase"] == "Rolling update"
    world.broken = set()
    await world.settle()
    assert await _images(world) == ["new", "new", "new"]
    assert (await world.status())["phase"] == "Running"


async def test_an_image_that_does_not_work_can_be_taken_back(world: World) -> None:
    world.broken = {"demo-2"}
    await world.apply(image="matriarch/postgres:bad")
    await world.settle()
    assert await _images(world) == ["test", "test", "bad"]
    await world.apply(image=None)
    await world.settle()
    assert await _images(world) == ["test", "test", "test"]
    world.broken = set()
    await world.settle()
    assert (await world.status())["phase"] == "Running"
    assert len(world.switchovers) == 1, "the primary was never touched"


async def test_a_replica_that_stays_and_is_broken_keeps_the_others(world: World) -> None:
    world.broken = {"demo-1"}
    await world.settle()
    await world.apply(instances=2, storage={"reclaimPolicy": "Delete"})
    await world.settle()
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1", "demo-2"}
    progressing = {one["type"]: one for one in (await world.status())["conditions"]}["Progressing"]
    assert "scaling down waits until what stays is well: demo-1" in progressing["message"]
    world.broken = set()
    await world.settle()
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1"}
    assert set(await world.everything(api.CLAIMS)) == {"data-demo-0", "data-demo-1"}


async def test_volumes_from_before_the_cluster_stay(world: World) -> None:
    await world.outside.delete(api.CLUSTERS, NAMESPACE, NAME)
    await world.settle()
    for name in await world.everything(api.CLAIMS):
        claim = world.server.store.table(api.CLAIMS).objects[NAMESPACE, name]
        claim["metadata"]["creationTimestamp"] = "2000-01-01T00:00:00Z"
    await world.apply(instances=1, storage={"size": "1Gi", "reclaimPolicy": "Delete"})
    await world.settle()
    assert set(await world.everything(api.CLAIMS)) == {"data-demo-0", "data-demo-1", "data-demo-2"}
    degraded = {one["type"]: one for one in (await world.status())["conditions"]}["Degraded"]
    assert "data-demo-1, data-demo-2; delete them by hand, or raise instances" in degraded["message"]
    await world.apply(instances=3)
    await world.settle()
    assert (await world.status())["phase"] == "Running"
