"""Manifests that are wrong, by mistake or on purpose: refused at apply, with a message that says what to do."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest

from e2e.hostile import LOUD, places
from e2e.kubectl import OURS, Kubectl, Object, names_of
from e2e.postgres_cluster import PLURAL, PostgresCluster, manifest
from e2e.shell import CommandFailed, NotYet, eventually

REFUSED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("a word for a number", {"instances": "three"}, ("spec.instances",)),
    ("a list for a map", {"parameters": ["work_mem"]}, ("spec.parameters",)),
    ("an unknown field", {"instancez": 3}, ("instancez",)),
    ("an unknown nested field", {"storage": {"size": "1Gi", "sise": "2Gi"}}, ("sise",)),
    ("no instances", {"instances": 0}, ("spec.instances", "greater than or equal to 1")),
    ("too many instances", {"instances": 1000}, ("spec.instances", "less than or equal to")),
    ("no storage", {"storage": None}, ("storage",)),
    ("a size that is none", {"storage": {"size": "plenty"}}, ("size",)),
    ("an unknown version", {"postgresVersion": "9.6"}, ("postgresVersion", "Unsupported value")),
    ("a mode that there is not", {"synchronous": {"mode": "majority"}}, ("synchronous.mode",)),
    ("more copies than replicas", {"synchronous": {"mode": "quorum", "count": 3}}, ("synchronous.count", "lower it")),
    ("times that do not fit", {"failover": {"ttl": 5, "loopWait": 3, "retryTimeout": 3}}, ("ttl", "loopWait")),
    ("a parameter name in capitals", {"parameters": {"Work Mem": "1MB"}}, ("parameters", "lower case")),
    ("a parameter that we own", {"parameters": {"listen_addresses": "*"}}, ("parameters", "remove")),
    ("a parameter with a line break", {"parameters": {"work_mem": "1MB\nport = 1"}}, ("parameters",)),
    ("a rule that is none", {"pgHba": ["let everybody in"]}, ("pgHba",)),
]

ONLY_THE_OPERATOR_TELLS = {"resources.requests{key}", "resources.limits{key}", "tags[].custom{key}"}
"""Keys of maps, to which a schema can give no pattern; besides these, those of label selectors."""


def refusal(kubectl: Kubectl, namespace: str, wrong: Object) -> str:
    """What kubectl says. Fails when it was accepted."""
    try:
        kubectl.apply(wrong, namespace=namespace)
    except CommandFailed as error:
        return str(error)
    kubectl("delete", "pgc", wrong["metadata"]["name"], "-n", namespace, "--wait=false")
    pytest.fail(f"accepted: {wrong['spec']}")


@pytest.mark.parametrize(("spec", "told"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_refused_at_apply(kubectl: Kubectl, namespace: str, spec: dict[str, Any], told: tuple[str, ...]) -> None:
    message = refusal(kubectl, namespace, manifest("wrong", **copy.deepcopy(spec)))
    assert all(word in message for word in told), message


def test_hostile_text_is_refused_or_reported_in_every_field(kubectl: Kubectl, namespace: str) -> None:
    """At apply, or where only the operator can tell, in status and an event. Annotations alone take any text."""
    tried = [place for place in places(lambda _: LOUD) if not place.path.endswith("Annotations{}")]
    by_name = {f"hostile-{number}": place for number, place in enumerate(tried)}
    with pytest.raises(CommandFailed, match="spec"):
        kubectl.apply(*(manifest(name, **place.spec) for name, place in by_name.items()), namespace=namespace)
    accepted = set(names_of(kubectl.items(OURS, PLURAL, namespace=namespace))) & by_name.keys()
    try:
        told = {by_name[name].path for name in accepted}
        assert {path for path in told if not path.endswith("matchLabels{key}")} == ONLY_THE_OPERATOR_TELLS
        for name in sorted(accepted):
            cluster = PostgresCluster(kubectl, namespace, name)
            eventually(partial(_reported, cluster), within=30, what=f"a condition and an event about {by_name[name]}")
    finally:
        kubectl("delete", "pgc", "-n", namespace, "--ignore-not-found", *sorted(accepted))


def _reported(cluster: PostgresCluster) -> None:
    conditions = {one["type"]: one for one in cluster.status().get("conditions", [])}
    if conditions.get("Degraded", {}).get("reason") != "InvalidSpec" or "spec" not in conditions["Degraded"]["message"]:
        raise NotYet(f"conditions {conditions}")
    if not any(event.startswith(f"InvalidSpec {cluster.name}: ") for event in cluster.events()):
        raise NotYet(f"events {cluster.events()[-5:]}")


def test_a_name_too_long_for_what_is_derived_from_it(kubectl: Kubectl, namespace: str) -> None:
    assert "shorter name" in refusal(kubectl, namespace, manifest("a" * 45))
    assert "start" in refusal(kubectl, namespace, manifest("1st"))


def test_what_may_not_change_is_refused_and_the_cluster_goes_on(healthy: PostgresCluster) -> None:
    primary = healthy.primary()
    before = [(pod["metadata"]["uid"], healthy.restarts(pod["metadata"]["name"])) for pod in healthy.pods()]
    for patch, told in (
        ({"storage": {"size": "512Mi"}}, "shrink"),
        ({"storage": {"storageClass": "other"}}, "cannot be changed"),
        ({"bootstrap": {"database": "other"}}, "read once"),
        ({"instances": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(CommandFailed, match=told):
            healthy.change(patch)
    assert healthy.wait_healthy() == primary
    after = [(pod["metadata"]["uid"], healthy.restarts(pod["metadata"]["name"])) for pod in healthy.pods()]
    assert after == before
