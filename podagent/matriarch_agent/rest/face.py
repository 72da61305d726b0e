"""What the REST API needs of the agent. The server keeps no state of its own: it asks, checks and passes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from matriarch.ha.documents import Facts
from matriarch.ha.failsafe import Verdict
from matriarch.ha.scheduled import ScheduledRestart
from matriarch_agent.ports import FailsafeClaim


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The `config` annotation as it stands and the version of the object that carries it; None when it is absent."""

    text: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Counters:
    """What the agent has counted since it started, by reason or outcome."""

    decisions: Mapping[str, int] = field(default_factory=dict)
    renewals: Mapping[str, int] = field(default_factory=dict)
    failsafe_rounds: Mapping[str, int] = field(default_factory=dict)


class Face(Protocol):
    """The agent, as its REST API sees it.

    The plain methods answer at once from memory and never raise. The others may raise MatriarchError, which becomes
    an HTTP status.
    """

    def facts(self) -> Facts:
        """The state of this moment, `now`, `wall` and `lease_until` included."""
        ...

    async def refresh(self) -> None:
        """Observe Postgres afresh; `facts` shows it afterwards. Within two seconds, never raises.

        A member that races must not be told an old position.
        """
        ...

    def decisions(self) -> Sequence[Mapping[str, Any]]:
        """The decisions that are kept, oldest first, ready for JSON."""
        ...

    def settings_source(self) -> SettingsSource:
        """The cluster settings' raw text."""
        ...

    def counters(self) -> Counters:
        """The counters for metrics."""
        ...

    async def accept_failsafe(self, claim: FailsafeClaim) -> Verdict:
        """Judge a claim (`judge_failsafe`) and, in the same step, remember it when it is accepted."""
        ...

    async def write_settings(self, text: str, version: str | None) -> None:
        """Write the `config` annotation, by compare-and-swap on `version` (None: there is none yet)."""
        ...

    async def write_request(
        self, leader: str | None, candidate: str | None, scheduled_at: str | None, version: str | None = None
    ) -> None:
        """Write the failover object, by compare-and-swap on `version` (None: whatever is there); all None empties it.

        Every view that is taken after this has returned shows what was written, or what came after it.
        """
        ...

    async def restart(self, timeout: float | None) -> str | None:
        """Restart Postgres in its role; returns when that has ended: None when it worked, else why not. `timeout` in
        seconds, None for the usual one."""
        ...

    def schedule_restart(self, scheduled: ScheduledRestart | None) -> bool:
        """Remember a restart for later, or (None) forget it. False when there is one already, or none to forget."""
        ...

    def reload(self) -> None:
        """Apply the configuration again at the next look."""
        ...

    def reinitialize(self, *, force: bool, from_leader: bool) -> None:
        """Copy the data anew, from the leader only when `from_leader`; `force` breaks an activity off."""
        ...
