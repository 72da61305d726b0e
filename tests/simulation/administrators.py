"""People who ask for switchovers, change settings, pause and restart, at random times."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from matriarch.ha import records
from matriarch.ha.scheduled import RestartFilters, ScheduledRestart
from matriarch.kube.api import ENDPOINTS
from matriarch.words import labels, names
from matriarch.words.errors import MatriarchError, NotFound
from matriarch_agent.face import AgentFace
from simulation.process_faults import expendable

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent
    from simulation.member import Member
    from simulation.world import World


class Administrator:
    """Writes to the API server over a road of its own, which never fails."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/administrator")
        self._times = random.Random(f"{world.seed}/schedules")
        """Of its own, so that the other deeds of a seed stay as they were."""
        self._kube = world.kube.client("administrator")
        self._deeds: dict[str, Callable[[], dict[str, Any] | None]] = {
            "switchover": self._switchover,
            "failover": self._failover,
            "parameters": self._parameters,
            "synchronous": self._synchronous,
            "pause": self._pause,
            "restart": self._restart,
            "reinitialize": self._reinitialize,
            "scale": self._scale,
            "turn": self._turn,
            "timing": self._timing,
            "failsafe": self._failsafe,
            "tags": self._tags,
            "slots": self._slots,
            "count": self._count,
            "nosync": self._nosync,
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
        text = json.dumps(settings, separators=(",", ":"), sort_keys=True)
        body = records.config_body(labels.cluster_labels(self._world.cluster), config=text)
        await self._write(names.config_object(self._world.cluster), body)

    def unpause(self) -> None:
        """End a pause, if there is one."""
        if self._world.plan.settings.get("pause"):
            self._world.spawn(self.set_settings({"pause": False}))

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

    def ask(self, leader: str | None, candidate: str | None, in_s: float | None = None) -> None:
        """Ask for a switchover (`leader` given) or a failover, now or in `in_s` seconds."""
        when = self._at(in_s)[1] if in_s is not None else None
        self._world.trace.add("admin", f"asks for a change of leader from {leader} to {candidate}, {when or 'now'}")
        body = records.request_body(labels.cluster_labels(self._world.cluster), leader, candidate, when)
        self._world.spawn(self._write(names.failover_object(self._world.cluster), body))

    def _switchover(self) -> None:
        others = [m.name for m in self._world.members if m.name != self._world.truth.holder]
        if self._world.truth.holder is not None and others:
            in_s = self._times.uniform(1.0, 60.0) if self._times.random() < 0.3 else None
            self.ask(self._world.truth.holder, self._rng.choice([None, *others]), in_s)

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

    def _timing(self) -> dict[str, Any]:
        ttl, wait, retry = self._rng.choice([(9, 3, 3), (15, 5, 5), (30, 10, 10)])
        return {"ttl": ttl, "loop_wait": wait, "retry_timeout": retry}

    def _failsafe(self) -> dict[str, Any]:
        return {"failsafe_mode": self._rng.random() < 0.5}

    def _tags(self) -> dict[str, Any] | None:
        """Other priorities for some."""
        if self._world.plan.tags:
            return None
        members = self._world.members
        some = self._rng.sample(members, self._rng.randint(0, len(members)))
        rng = self._rng
        tags = {m.name: {"failover_priority": rng.choice([1, 2]), "sync_priority": rng.choice([1, 2])} for m in some}
        return {"member_tags": tags}

    def _slots(self) -> dict[str, Any]:
        """A permanent slot more, or all gone."""
        feed = {"type": "logical", "database": "app", "plugin": "pgoutput"}
        wanted = {"backup": {"type": "physical"}, "feed": feed}
        return {"slots": dict(self._rng.sample(sorted(wanted.items()), self._rng.randint(0, 2)))}

    def _count(self) -> dict[str, Any]:
        return {"synchronous_node_count": self._rng.choice([1, 2])}

    def _nosync(self) -> dict[str, Any]:
        """One member after the other is not to be synchronous, or all may be."""
        members = self._world.members
        some = self._rng.sample(members, self._rng.randint(0, max(0, len(members) - 2)))
        return {"member_tags": {member.name: {"nosync": True} for member in some}}

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

    def _reinitialize(self) -> None:
        others = [m for m in self._world.members if m.agent is not None and m.name != self._world.truth.holder]
        if others:
            self.copy_anew(self._rng.choice(others))

    def copy_anew(self, member: Member) -> None:
        """As `POST /reinitialize` does it."""
        if member.agent is None:
            return
        self._world.trace.add("admin", f"asks {member.name} to copy its data anew")
        member.asked_anew = member.agent
        member.agent.remember(reinitialize=True)
        member.agent.wake()

    def _scale(self) -> None:
        """The last member goes, with its disk when nothing rests on it, and comes back when the cluster grows again."""
        member, seconds = self._world.members[-1], self._rng.uniform(10, 60)
        if len(self._world.members) < 2 or member.restarts_blocked:
            return
        self._world.trace.add("admin", f"scales down to {member.ordinal}, and up again after {seconds:.1f} s")
        self._world.spawn(member.replace_pod(graceful=True, away_s=seconds, drop_volume=expendable))

    def _pause(self) -> dict[str, Any]:
        return {"pause": self._rng.random() < 0.5}

    def _restart(self) -> None:
        agent = self._rng.choice(self._world.members).agent
        if agent is not None and self._times.random() < 0.5:
            self._schedule(agent)
        elif agent is not None:
            self._world.trace.add("admin", f"asks {agent.me.name} to restart Postgres")
            agent.remember(restart=True)
            agent.wake()

    def _schedule(self, agent: Agent) -> None:
        """As `POST /restart` does it."""
        at, words = self._at(self._times.uniform(1.0, 60.0))
        started = agent.view.postgres.postmaster_start_time if agent.view is not None else None
        filters = RestartFilters(role=self._times.choice([None, None, "primary", "replica"]))
        scheduled = ScheduledRestart(at, words, started, filters, self._times.choice([None, 5.0]))
        taken = AgentFace(agent).schedule_restart(scheduled)
        what = scheduled if taken else "there is one"
        self._world.trace.add("admin", f"schedules a restart of {agent.me.name}: {what}")

    def _at(self, in_s: float) -> tuple[float, str]:
        at = self._world.wall() + in_s
        return at, datetime.fromtimestamp(at, UTC).isoformat()
