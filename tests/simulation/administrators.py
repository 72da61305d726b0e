"""People who ask for switchovers, change settings, pause and restart, at random times."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matriarch.ha import records
from matriarch.kube.api import ENDPOINTS
from matriarch.words import names
from matriarch.words.errors import MatriarchError, NotFound

if TYPE_CHECKING:
    from simulation.world import World


class Administrator:
    """Writes to the API server over a road of its own, which never fails."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/administrator")
        self._kube = world.kube.client("administrator")
        self._deeds: dict[str, Callable[[], dict[str, Any] | None]] = {
            "switchover": self._switchover,
            "failover": self._failover,
            "parameters": self._parameters,
            "synchronous": self._synchronous,
            "pause": self._pause,
            "restart": self._restart,
            "turn": self._turn,
        }

    async def run(self) -> None:
        """Interfere until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._world.plan.admin_every_s))
            kind = self._rng.choice(self._world.plan.admin_kinds)
            change = self._deeds[kind]()
            if change is not None:
                self._world.trace.add("admin", f"{kind}: {change}")
                await self.set_settings(change)

    async def set_settings(self, change: dict[str, Any]) -> None:
        """Merge into the `config` annotation."""
        settings = self._world.plan.settings
        settings.update(change)
        body = {"metadata": {"annotations": {"config": json.dumps(settings, separators=(",", ":"), sort_keys=True)}}}
        await self._write(names.config_object(self._world.cluster), body)

    async def _write(self, name: str, body: dict[str, Any]) -> None:
        try:
            try:
                await self._kube.patch(ENDPOINTS, self._world.namespace, name, body)
            except NotFound:
                whole = records.without_nulls(body)
                whole["metadata"] = {**whole["metadata"], "name": name, "namespace": self._world.namespace}
                await self._kube.create(ENDPOINTS, self._world.namespace, whole)
        except MatriarchError as error:
            self._world.trace.add("admin", f"could not write {name}: {error}")

    def ask(self, leader: str | None, candidate: str | None) -> None:
        """Ask for a switchover (`leader` given) or a failover."""
        self._world.trace.add("admin", f"asks for a change of leader from {leader} to {candidate}")
        body = records.request_body(self._world.cluster, leader, candidate)
        self._world.spawn(self._write(names.failover_object(self._world.cluster), body))

    def _switchover(self) -> None:
        others = [m.name for m in self._world.members if m.name != self._world.truth.holder]
        if self._world.truth.holder is not None and others:
            self.ask(self._world.truth.holder, self._rng.choice([None, *others]))

    def _failover(self) -> None:
        self.ask(None, self._rng.choice(self._world.members).name)

    def _parameters(self) -> dict[str, Any]:
        postgresql = dict(self._world.plan.settings["postgresql"])
        postgresql["parameters"] = {"max_connections": self._rng.choice([50, 100, 200])}
        return {"postgresql": postgresql}

    def _synchronous(self) -> dict[str, Any]:
        return {
            "synchronous_mode": self._rng.choice([False, True, "quorum", "quorum"]),
            "synchronous_mode_strict": self._rng.random() < 0.2,
            "synchronous_node_count": self._rng.choice([1, 2]),
        }

    def _turn(self) -> dict[str, Any] | None:
        """Promote a standby cluster, or make a cluster follow a promoted copy of itself.

        As a careful person does: neither while the leader's data is being made to match, nor from the copy of a primary
        beside which another one may have been promoted to the same timeline number.
        """
        leader = next((m.server for m in self._world.members if m.name == self._world.truth.holder), None)
        if leader is None or leader.process != "running":
            return None
        if self._world.plan.settings.get("standby_cluster") is not None:
            return {"standby_cluster": None} if leader.intake.link is not None else None
        if [m.server for m in self._world.members if m.server.writable] != [leader]:
            return None
        self._world.remote.fork(leader)
        return {"standby_cluster": self._world.remote.settings()}

    def _pause(self) -> dict[str, Any]:
        return {"pause": self._rng.random() < 0.5}

    def _restart(self) -> None:
        agent = self._rng.choice(self._world.members).agent
        if agent is not None:
            self._world.trace.add("admin", f"asks {agent.me.name} to restart Postgres")
            agent.remember(restart=True)
            agent.wake()
