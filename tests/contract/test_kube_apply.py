"""Server-side apply, the same on every site."""

from __future__ import annotations

import pytest

from matriarch.kube.api import BUDGETS, SECRETS, SERVICES, Object
from matriarch.words.errors import ConflictError

from .conftest import Site


def budget(unavailable: int = 1, **labels: str) -> Object:
    spec = {"maxUnavailable": unavailable, "selector": {"matchLabels": {"cluster-name": "demo"}}}
    return {"metadata": {"labels": labels} if labels else {}, "spec": spec}


async def test_apply_creates_what_is_missing(site: Site) -> None:
    made = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="operator")
    assert made["metadata"]["name"] == "demo"
    assert made["metadata"]["labels"] == {"a": "1"}
    assert made["metadata"]["managedFields"][0]["manager"] == "operator"


async def test_applying_the_same_again_makes_no_version(site: Site) -> None:
    first = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="operator")
    again = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="operator")
    assert again["metadata"]["generation"] == first["metadata"]["generation"]
    third = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="operator")
    assert third["spec"] == first["spec"]


async def test_a_field_left_out_disappears(site: Site) -> None:
    await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1", b="2"), manager="operator")
    changed = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="operator")
    assert changed["metadata"]["labels"] == {"a": "1"}
    none = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(), manager="operator")
    assert not none["metadata"].get("labels")


async def test_the_fields_of_others_stay(site: Site) -> None:
    await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="operator")
    await site.kube.patch(BUDGETS, site.namespace, "demo", {"metadata": {"labels": {"theirs": "x"}}})
    changed = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(b="2"), manager="operator")
    assert changed["metadata"]["labels"] == {"b": "2", "theirs": "x"}


async def test_a_shared_field_goes_with_its_last_manager(site: Site) -> None:
    await site.kube.apply(BUDGETS, site.namespace, "demo", budget(a="1"), manager="one")
    await site.kube.apply(BUDGETS, site.namespace, "demo", {"metadata": {"labels": {"a": "1"}}}, manager="two")
    kept = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(), manager="one")
    assert kept["metadata"]["labels"] == {"a": "1"}
    gone = await site.kube.apply(BUDGETS, site.namespace, "demo", {"metadata": {}}, manager="two")
    assert not gone["metadata"].get("labels")


async def test_a_foreign_value_conflicts_without_force(site: Site) -> None:
    await site.kube.apply(BUDGETS, site.namespace, "demo", budget(1), manager="one")
    with pytest.raises(ConflictError, match="one"):
        await site.kube.apply(BUDGETS, site.namespace, "demo", budget(2), manager="two", force=False)
    assert (await site.kube.get(BUDGETS, site.namespace, "demo"))["spec"]["maxUnavailable"] == 1
    forced = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(2), manager="two", force=True)
    assert forced["spec"]["maxUnavailable"] == 2
    with pytest.raises(ConflictError, match="two"):
        await site.kube.apply(BUDGETS, site.namespace, "demo", budget(1), manager="one", force=False)


async def test_a_patch_takes_a_field_over(site: Site) -> None:
    await site.kube.apply(BUDGETS, site.namespace, "demo", budget(1), manager="one")
    await site.kube.patch(BUDGETS, site.namespace, "demo", {"spec": {"maxUnavailable": 3}})
    with pytest.raises(ConflictError):
        await site.kube.apply(BUDGETS, site.namespace, "demo", budget(1), manager="one", force=False)
    back = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(1), manager="one")
    assert back["spec"]["maxUnavailable"] == 1


async def test_what_was_created_otherwise_can_be_taken_over(site: Site) -> None:
    created: Object = {"metadata": {"name": "demo", "labels": {"old": "1"}}, "spec": budget(1)["spec"]}
    await site.kube.create(BUDGETS, site.namespace, created)
    taken = await site.kube.apply(BUDGETS, site.namespace, "demo", budget(2, mine="1"), manager="operator")
    assert taken["spec"]["maxUnavailable"] == 2
    assert taken["metadata"]["labels"] == {"old": "1", "mine": "1"}


async def test_list_items_are_merged_by_their_key(site: Site) -> None:
    def service(*ports: tuple[str, int]) -> Object:
        return {"spec": {"clusterIP": "None", "ports": [{"name": n, "port": p, "protocol": "TCP"} for n, p in ports]}}

    await site.kube.apply(SERVICES, site.namespace, "demo", service(("postgresql", 5432)), manager="one")
    both = await site.kube.apply(
        SERVICES,
        site.namespace,
        "demo",
        {"spec": {"ports": [{"name": "rest", "port": 8008, "protocol": "TCP"}]}},
        manager="two",
    )
    assert sorted(port["name"] for port in both["spec"]["ports"]) == ["postgresql", "rest"]
    left = await site.kube.apply(SERVICES, site.namespace, "demo", service(("sql", 5433)), manager="one")
    assert sorted(port["name"] for port in left["spec"]["ports"]) == ["rest", "sql"]


async def test_status_is_applied_by_a_manager_of_its_own(site: Site) -> None:
    await site.kube.apply(
        SERVICES,
        site.namespace,
        "demo",
        {"spec": {"clusterIP": "None", "ports": [{"port": 5432, "protocol": "TCP"}]}},
        manager="operator",
    )
    condition = {"type": "Ready", "status": "True", "reason": "R", "message": "m", "observedGeneration": 1}
    condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    status = await site.kube.apply(
        SERVICES,
        site.namespace,
        "demo",
        {"status": {"conditions": [condition]}},
        manager="operator-status",
        subresource="status",
    )
    assert [c["type"] for c in status["status"]["conditions"]] == ["Ready"]
    other = {**condition, "type": "Degraded"}
    status = await site.kube.apply(
        SERVICES,
        site.namespace,
        "demo",
        {"status": {"conditions": [other]}},
        manager="operator-status",
        subresource="status",
    )
    assert [c["type"] for c in status["status"]["conditions"]] == ["Degraded"]
    assert status["spec"]["ports"][0]["port"] == 5432


async def test_a_secret_can_be_applied_as_text(site: Site) -> None:
    body = {"stringData": {"password": "pw"}}
    made = await site.kube.apply(SECRETS, site.namespace, "demo-app", body, manager="operator")
    assert made["data"] == {"password": "cHc="}
