"""What the operator asks the API server for in a cluster's life, and what its ClusterRole lets it do: the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from unit.operator.world import NAME, NAMESPACE, World

from matriarch.fleet.render.access import rules
from matriarch.kube import api
from matriarch.words import labels
from matriarch_operator.execute import CHILD_KINDS

HELD: list[dict[str, list[str]]] = yaml.safe_load(
    (Path(__file__).resolve().parents[3] / "helm/matriarch/files/rules.yaml").read_text()
)
Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""

VERBS = {"get": ("get",), "list": ("list",), "create": ("create",), "patch": ("patch",), "delete": ("delete",)}
"""A server-side apply is a patch, and creates what is not there."""


def _group(kind: api.Kind) -> str:
    return kind.group_version.rpartition("/")[0]


class Recorder:
    """Notes every request of the operator in a world."""

    def __init__(self, world: World) -> None:
        self.used: set[Right] = set()
        for name, verbs in {**VERBS, "apply": ("patch", "create")}.items():
            setattr(world.kube, name, self._noted(getattr(world.kube, name), verbs))

    def _noted(self, call: Callable[..., Awaitable[Any]], verbs: tuple[str, ...]) -> Callable[..., Awaitable[Any]]:
        async def noted(kind: api.Kind, *given: Any, **named: Any) -> Any:
            below = named.get("subresource")
            resource = f"{kind.plural}/{below}" if below else kind.plural
            self.used |= {(_group(kind), resource, verb) for verb in verbs if not (below and verb == "create")}
            return await call(kind, *given, **named)

        return noted


async def _life(world: World) -> None:
    """Everything that a cluster can ask of the operator."""
    theirs = {
        "metadata": {"name": "demo-app", "namespace": NAMESPACE},
        "data": {"username": "YQ==", "password": "YQ=="},
    }
    world.server.store.seed(api.SECRETS, NAMESPACE, theirs)
    for wish in (
        {"storage": {"size": "1Gi", "reclaimPolicy": "Delete"}},
        {"image": "matriarch/postgres:new"},
        {"parameters": {"work_mem": "8MB"}},
        {"storage": {"size": "2Gi"}},
        {"instances": 2},
        {"instances": 1},
    ):
        await world.apply(**wish)
        await world.settle()
    for name in ("any", "nobody", "nobody"):
        await world.annotate(labels.REQUEST_SWITCHOVER, name)
        await world.settle()
    await world.outside.patch(api.SERVICES, NAMESPACE, NAME, {"spec": {"selector": {"a": "b"}}})
    await world.outside.patch(
        api.STATEFUL_SETS, NAMESPACE, NAME, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}
    )
    await world.outside.delete(api.SECRETS, NAMESPACE, "demo-app")
    world.start_operator()  # theirs had no label, by which its end would have been seen
    await world.settle()
    await world.outside.patch(api.SECRETS, NAMESPACE, "demo-app", {"data": {"password": "YQ=="}})
    await world.settle()
    await world.outside.delete(api.CLUSTERS, NAMESPACE, NAME)
    await world.settle()
    assert await world.everything(api.CLUSTERS) == {}


async def test_the_operator_has_the_rights_that_it_uses_and_no_others() -> None:
    world = World()
    recorder = Recorder(world)
    await _life(world)
    watched = {(_group(kind), kind.plural, verb) for kind in (*CHILD_KINDS, api.CLUSTERS) for verb in ("list", "watch")}
    given = {right for rule in rules(NAME) for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])}
    # It reads again what a write met, and asks for the owner's finalizers, as some API servers demand.
    read = {(group, resource, "get") for group, resource, _ in watched}
    owner = {("matriarch.dev", "postgresclusters/finalizers", "update")}
    held = {right for rule in HELD for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])}
    assert recorder.used <= held, "what it does and must not"
    assert held <= recorder.used | watched | given | read | owner, "what it may and never does"
