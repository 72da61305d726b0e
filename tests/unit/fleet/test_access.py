"""Rights: the operator can give members only what it holds, and both installs give the operator the same."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import yaml
from unit.fleet.builders import a_view

from matriarch.fleet.plan import decide
from matriarch.fleet.render.access import rules
from matriarch.spec.cluster import MAX_INSTANCES

ROOT = Path(__file__).resolve().parents[3]
HELD: list[dict[str, Any]] = yaml.safe_load((ROOT / "helm/matriarch/files/rules.yaml").read_text())


def _holds(group: str, resource: str, verb: str) -> bool:
    return any(group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] for rule in HELD)


def test_the_operator_holds_what_it_gives_to_members() -> None:
    for rule in rules("demo"):
        for group, resource, verb in product(rule["apiGroups"], rule["resources"], rule["verbs"]):
            assert _holds(group, resource, verb), f"{verb} {group}/{resource}"


def _members_may(verb: str, resource: str, name: str = "") -> bool:
    """As the API server decides: a request for a list or a creation has no name, and meets no rule with names."""
    return any(
        resource in rule["resources"]
        and verb in rule["verbs"]
        and ("resourceNames" not in rule or name in rule["resourceNames"])
        for rule in rules("demo")
    )


def test_members_may_do_what_they_do() -> None:
    for name in ("demo", "demo-config", "demo-failover", "demo-sync"):
        assert _members_may("get", "endpoints", name)
        assert _members_may("patch", "endpoints", name)
    for verb in ("list", "watch", "create"):
        assert _members_may(verb, "endpoints")
    for ordinal in range(MAX_INSTANCES):
        assert _members_may("patch", "pods", f"demo-{ordinal}")
    assert _members_may("list", "pods")
    assert _members_may("watch", "pods")
    assert _members_may("create", "events")


def test_members_cannot_read_secrets_or_change_what_is_not_theirs() -> None:
    assert {resource for rule in rules("demo") for resource in rule["resources"]} == {"endpoints", "pods", "events"}
    assert {verb for rule in rules("demo") for verb in rule["verbs"]} == {"get", "list", "watch", "create", "patch"}
    for name in ("other", "demo-1-sync", "demo2", "kubernetes"):
        assert not _members_may("patch", "endpoints", name)
    for name in ("demo-9", "demo-1-0", "other-0"):
        assert not _members_may("patch", "pods", name)
    assert not _members_may("create", "pods")


def test_the_operator_may_do_what_a_first_look_does() -> None:
    plurals = {
        "Endpoints": ("", "endpoints"),
        "Secret": ("", "secrets"),
        "Service": ("", "services"),
        "ServiceAccount": ("", "serviceaccounts"),
        "Role": ("rbac.authorization.k8s.io", "roles"),
        "RoleBinding": ("rbac.authorization.k8s.io", "rolebindings"),
        "StatefulSet": ("apps", "statefulsets"),
        "PodDisruptionBudget": ("policy", "poddisruptionbudgets"),
    }
    for action in decide(a_view()).actions:
        group, resource = plurals[getattr(action, "kind", "")]
        verbs = ("create",) if type(action).__name__ == "Create" else ("get", "create", "patch")
        assert all(_holds(group, resource, verb) for verb in (*verbs, "list", "watch")), resource


def test_the_plain_install_gives_the_same_rights_and_image_as_the_chart() -> None:
    documents = list(yaml.safe_load_all((ROOT / "manifests/install.yaml").read_text()))
    roles = {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "ClusterRole"}
    assert roles["matriarch-operator"] == HELD
    values = yaml.safe_load((ROOT / "helm/matriarch/values.yaml").read_text())
    chart = yaml.safe_load((ROOT / "helm/matriarch/Chart.yaml").read_text())
    deployment = next(one for one in documents if one["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"{values['image']['repository']}:{chart['appVersion']}"
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["MATRIARCH_POSTGRES_IMAGE"] == values["postgresImage"]
    assert deployment["spec"]["replicas"] == values["replicas"]
