"""The agent as its REST API sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from matriarch.ha.documents import Facts
from matriarch.ha.failsafe import Verdict
from matriarch.ha.records import version_of
from matriarch.ha.scheduled import ScheduledRestart
from matriarch_agent.agent import Agent
from matriarch_agent.ports import FailsafeClaim
from matriarch_agent.rest.face import Counters, SettingsSource

RESTART_LIMIT_S = 60.0


class AgentFace:
    """Answers questions from the agent's memory and passes wishes on to its loop."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def facts(self) -> Facts:
        """The state of this moment."""
        return self._agent.facts()

    async def refresh(self) -> None:
        """Observe Postgres afresh before answering a peer that races."""
        await self._agent.refresh()

    def decisions(self) -> Sequence[Mapping[str, Any]]:
        """The decisions that are kept."""
        return self._agent.journal.entries()

    def settings_source(self) -> SettingsSource:
        """The cluster settings' raw text."""
        obj = self._agent.store.config_source()
        return SettingsSource(self._agent.store.settings_text(), version_of(obj) if obj is not None else None)

    def counters(self) -> Counters:
        """The counters for metrics."""
        agent = self._agent
        return Counters(agent.journal.counts, agent.keeper.counts, agent.failsafe_counts)

    async def accept_failsafe(self, claim: FailsafeClaim) -> Verdict:
        """Judge a claim and remember it when it is accepted."""
        return self._agent.accept_failsafe(claim)

    async def write_settings(self, text: str, version: str | None) -> None:
        """Write the `config` annotation by compare-and-swap."""
        await self._agent.store.write_config(version, config=text)
        self._agent.wake()

    async def write_request(
        self, leader: str | None, candidate: str | None, scheduled_at: str | None, version: str | None = None
    ) -> None:
        """Write the failover object."""
        await self._agent.store.write_request(leader, candidate, scheduled_at, version)
        await self._agent.refresh()
        self._agent.wake()

    async def restart(self, timeout: float | None) -> str | None:
        """Restart Postgres in its role and wait for the end of it."""
        agent = self._agent
        try:
            async with asyncio.timeout(timeout or RESTART_LIMIT_S):
                await agent.restart(timeout)
        except TimeoutError:
            agent.remember(restart=False, restart_within=None)
            return "restart failed: not done in time"
        await agent.refresh()
        running = agent.view is not None and agent.view.postgres.running
        return None if running else "restart failed"

    def schedule_restart(self, scheduled: ScheduledRestart | None) -> bool:
        """Remember a restart for later, or (None) forget it."""
        memory = self._agent.memory
        if (scheduled is None) == (memory.scheduled_restart is None):
            return False
        self._agent.remember(scheduled_restart=scheduled)
        self._agent.wake()
        return True

    def reload(self) -> None:
        """Apply the configuration again."""
        self._agent.remember(reload=True)
        self._agent.wake()

    def reinitialize(self, *, force: bool, from_leader: bool) -> None:
        """Copy the data anew."""
        if force:
            self._agent.jobs.break_off()
        self._agent.remember(reinitialize=True, reinitialize_from_leader=from_leader)
        self._agent.wake()
