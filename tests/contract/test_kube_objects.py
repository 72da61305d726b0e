"""Reading, creating, compare-and-swap and deleting, the same on every site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from matriarch.kube.api import BUDGETS, ENDPOINTS, LEASES, SECRETS, SERVICES, Listing, Object
from matriarch.words.errors import AlreadyExists, ConflictError, Invalid, NotFound

from .conftest import Site


def lock(name: str = "demo", **annotations: str) -> Object:
    return {"metadata": {"name": name, "labels": {"cluster-name": "demo"}, "annotations": annotations}}


async def until(holds: Callable[[Listing], bool], site: Site) -> None:
    """Wait for what a controller of a real cluster does in its own time, here to the Secrets."""
    async with asyncio.timeout(30):
        listing = await site.kube.list(SECRETS, site.namespace)
        events = site.kube.watch(SECRETS, site.namespace, version=listing.version)
        while not holds(listing):
            await anext(events)
            listing = await site.kube.list(SECRETS, site.namespace)


async def test_a_created_object_is_read_back(site: Site) -> None:
    made = await site.kube.create(ENDPOINTS, site.namespace, lock(leader="demo-0"))
    assert made["metadata"]["uid"]
    assert int(made["metadata"]["resourceVersion"]) > 0
    assert made["kind"] == "Endpoints"
    read = await site.kube.get(ENDPOINTS, site.namespace, "demo")
    assert read["metadata"]["annotations"] == {"leader": "demo-0"}
    assert read["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_missing_object_is_not_found(site: Site) -> None:
    with pytest.raises(NotFound):
        await site.kube.get(ENDPOINTS, site.namespace, "missing")
    with pytest.raises(NotFound):
        await site.kube.patch(ENDPOINTS, site.namespace, "missing", lock())
    with pytest.raises(NotFound):
        await site.kube.delete(ENDPOINTS, site.namespace, "missing")


async def test_a_second_create_already_exists(site: Site) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, lock())
    with pytest.raises(AlreadyExists):
        await site.kube.create(ENDPOINTS, site.namespace, lock())


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a b", "x" * 254, "é"])
async def test_a_bad_name_is_invalid(site: Site, name: str) -> None:
    with pytest.raises(Invalid):
        await site.kube.create(ENDPOINTS, site.namespace, lock(name))


@pytest.mark.parametrize("name", ["", ".", "..", "../demo", "a%2fb"])
async def test_a_name_that_would_leave_its_path_is_never_sent(site: Site, name: str) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, lock())
    with pytest.raises(Invalid):
        await site.kube.delete(ENDPOINTS, site.namespace, name)
    assert len((await site.kube.list(ENDPOINTS, site.namespace)).items) == 1


async def test_annotations_must_be_strings(site: Site) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, lock())
    with pytest.raises(Invalid):
        await site.kube.patch(ENDPOINTS, site.namespace, "demo", {"metadata": {"annotations": {"ttl": 9}}})


async def test_a_label_value_with_a_space_is_invalid(site: Site) -> None:
    with pytest.raises(Invalid):
        await site.kube.create(ENDPOINTS, site.namespace, {"metadata": {"name": "demo", "labels": {"a": "b c"}}})


async def test_compare_and_swap_has_one_winner(site: Site) -> None:
    made = await site.kube.create(ENDPOINTS, site.namespace, lock())
    version = made["metadata"]["resourceVersion"]

    async def take(member: str) -> str | None:
        metadata = {"resourceVersion": version, "annotations": {"leader": member}}
        try:
            await site.kube.patch(ENDPOINTS, site.namespace, "demo", {"metadata": metadata})
        except ConflictError:
            return None
        return member

    winners = [winner for winner in await asyncio.gather(*(take(f"demo-{n}") for n in range(8))) if winner]
    read = await site.kube.get(ENDPOINTS, site.namespace, "demo")
    assert winners == [read["metadata"]["annotations"]["leader"]]


async def test_a_conflict_is_no_already_exists(site: Site) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, lock())
    stale = {"metadata": {"resourceVersion": "1", "annotations": {"leader": "x"}}}
    with pytest.raises(ConflictError) as caught:
        await site.kube.patch(ENDPOINTS, site.namespace, "demo", stale)
    assert not isinstance(caught.value, AlreadyExists)


async def test_a_merge_patch_sets_and_removes(site: Site) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, lock(leader="demo-0", ttl="9"))
    patch = {"metadata": {"annotations": {"leader": None, "optime": "7"}}}
    changed = await site.kube.patch(ENDPOINTS, site.namespace, "demo", patch)
    assert changed["metadata"]["annotations"] == {"ttl": "9", "optime": "7"}


async def test_a_patch_that_changes_nothing_makes_no_version(site: Site) -> None:
    made = await site.kube.create(ENDPOINTS, site.namespace, lock(leader="demo-0"))
    same = await site.kube.patch(ENDPOINTS, site.namespace, "demo", {"metadata": {"annotations": {"leader": "demo-0"}}})
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_empty_subsets_read_as_absent(site: Site) -> None:
    address = {"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "postgresql", "port": 5432, "protocol": "TCP"}]}
    await site.kube.create(ENDPOINTS, site.namespace, {**lock(), "subsets": [address]})
    assert (await site.kube.get(ENDPOINTS, site.namespace, "demo"))["subsets"] == [address]
    emptied = await site.kube.patch(ENDPOINTS, site.namespace, "demo", {"subsets": []})
    assert not emptied.get("subsets")


async def test_a_json_patch_tests_before_it_writes(site: Site) -> None:
    await site.kube.create(ENDPOINTS, site.namespace, lock(leader="demo-0"))
    path = "/metadata/annotations/leader"
    right = [{"op": "test", "path": path, "value": "demo-0"}, {"op": "replace", "path": path, "value": "demo-1"}]
    changed = await site.kube.patch(ENDPOINTS, site.namespace, "demo", right, patch_type="json")
    assert changed["metadata"]["annotations"] == {"leader": "demo-1"}
    with pytest.raises(Invalid):
        await site.kube.patch(ENDPOINTS, site.namespace, "demo", right, patch_type="json")
    with pytest.raises(Invalid):
        await site.kube.patch(ENDPOINTS, site.namespace, "demo", [{"op": "remove", "path": "/no"}], patch_type="json")


async def test_listing_selects_by_label(site: Site) -> None:
    for name, role in (("a", "primary"), ("b", "replica"), ("c", "replica")):
        await site.kube.create(SECRETS, site.namespace, {"metadata": {"name": name, "labels": {"role": role}}})
    await site.kube.create(SECRETS, site.namespace, {"metadata": {"name": "d"}})

    async def names(selector: str) -> list[str]:
        listing = await site.kube.list(SECRETS, site.namespace, labels=selector)
        return sorted(item["metadata"]["name"] for item in listing.items)

    assert await names("") == ["a", "b", "c", "d"]
    assert await names("role=replica") == ["b", "c"]
    assert await names("role in (primary, replica),role!=replica") == ["a"]
    assert await names("role notin (replica)") == ["a", "d"]
    assert await names("role") == ["a", "b", "c"]
    assert await names("!role") == ["d"]
    with pytest.raises(Invalid):
        await names("role in (")


async def test_items_of_a_list_say_what_they_are(site: Site) -> None:
    await site.kube.create(SECRETS, site.namespace, {"metadata": {"name": "a"}})
    (item,) = (await site.kube.list(SECRETS, site.namespace)).items
    assert (item["apiVersion"], item["kind"]) == ("v1", "Secret")
    everywhere = await site.kube.list(SECRETS, None)
    assert any(found["metadata"]["namespace"] == site.namespace for found in everywhere.items)


async def test_a_secret_keeps_its_text_as_data(site: Site) -> None:
    body = {"metadata": {"name": "demo-app"}, "stringData": {"username": "app"}}
    made = await site.kube.create(SECRETS, site.namespace, body)
    assert made["data"] == {"username": "YXBw"}
    assert "stringData" not in made


async def test_generation_counts_changes_of_intent_only(site: Site) -> None:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"cluster-name": "demo"}}}
    made = await site.kube.create(BUDGETS, site.namespace, {"metadata": {"name": "demo"}, "spec": spec})
    assert made["metadata"]["generation"] == 1
    labelled = await site.kube.patch(BUDGETS, site.namespace, "demo", {"metadata": {"labels": {"a": "b"}}})
    assert labelled["metadata"]["generation"] == 1
    changed = await site.kube.patch(BUDGETS, site.namespace, "demo", {"spec": {"maxUnavailable": 2}})
    assert changed["metadata"]["generation"] == 2


async def test_status_is_written_apart(site: Site) -> None:
    condition = {"type": "Routed", "status": "True", "reason": "Test", "message": "m", "observedGeneration": 1}
    condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    body: Object = {"metadata": {"name": "demo"}, "spec": {"clusterIP": "None", "ports": [{"port": 5432}]}}
    await site.kube.create(SERVICES, site.namespace, body)
    both: Object = {"status": {"conditions": [condition]}, "metadata": {"annotations": {"a": "b"}}}
    main = await site.kube.patch(SERVICES, site.namespace, "demo", both)
    assert not main["status"].get("conditions") if "status" in main else True
    status = await site.kube.patch(
        SERVICES, site.namespace, "demo", {"status": both["status"], "spec": {"clusterIP": "x"}}, subresource="status"
    )
    assert status["status"]["conditions"] == [condition]
    assert status["spec"]["clusterIP"] == "None"
    assert status["metadata"]["annotations"] == {"a": "b"}


async def test_delete_checks_its_preconditions(site: Site) -> None:
    made = await site.kube.create(LEASES, site.namespace, {"metadata": {"name": "demo"}})
    with pytest.raises(ConflictError):
        await site.kube.delete(
            LEASES, site.namespace, "demo", preconditions={"uid": "00000000-0000-0000-0000-000000000000"}
        )
    with pytest.raises(ConflictError):
        await site.kube.delete(LEASES, site.namespace, "demo", preconditions={"resourceVersion": "1"})
    await site.kube.delete(LEASES, site.namespace, "demo", preconditions={"uid": made["metadata"]["uid"]})
    with pytest.raises(NotFound):
        await site.kube.get(LEASES, site.namespace, "demo")


async def test_a_finalizer_holds_a_deleted_object(site: Site) -> None:
    await site.kube.create(LEASES, site.namespace, {"metadata": {"name": "demo", "finalizers": ["matriarch.dev/x"]}})
    await site.kube.delete(LEASES, site.namespace, "demo")
    held = await site.kube.get(LEASES, site.namespace, "demo")
    assert held["metadata"]["deletionTimestamp"]
    await site.kube.patch(LEASES, site.namespace, "demo", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await site.kube.get(LEASES, site.namespace, "demo")


async def test_what_an_owner_owned_goes_with_it(site: Site) -> None:
    owner = await site.kube.create(LEASES, site.namespace, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": "owner"}
    reference["uid"] = owner["metadata"]["uid"]
    owned: Object = {"metadata": {"name": "owned", "ownerReferences": [reference]}}
    await site.kube.create(SECRETS, site.namespace, owned)
    await site.kube.create(SECRETS, site.namespace, {"metadata": {"name": "free"}})
    await site.kube.delete(LEASES, site.namespace, "owner")
    await until(lambda listing: len(listing.items) == 1, site)
    assert (await site.kube.get(SECRETS, site.namespace, "free"))["metadata"]["name"] == "free"


async def test_orphans_stay(site: Site) -> None:
    owner = await site.kube.create(LEASES, site.namespace, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": "owner"}
    reference["uid"] = owner["metadata"]["uid"]
    await site.kube.create(SECRETS, site.namespace, {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    await site.kube.delete(LEASES, site.namespace, "owner", propagation="Orphan")
    await until(lambda listing: not any(i["metadata"].get("ownerReferences") for i in listing.items), site)
    await site.kube.get(SECRETS, site.namespace, "owned")
