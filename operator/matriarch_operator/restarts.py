"""Restarts of members' Postgres, outside of the workers: a member answers when it is done, which may take a minute.

At most one per cluster. Nothing of it outlives this process: the member goes on by itself, and the next look sees what
became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from matriarch.fleet.actions import Restart
from matriarch.words.errors import MatriarchError, Unavailable
from matriarch_operator.member_client import Members
from matriarch_operator.store import ClusterKey

SETTLE_S = 2.0
"""Seconds between a member's answer and the end of its restart: what its pod says of it follows a moment later, and
whether all are well is judged by that before the next one."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """A restart that is over, with what went wrong."""

    wanted: Restart
    error: MatriarchError | None


class Restarts:
    """`wake` is called with a cluster's key when its restart is over."""

    def __init__(self, members: Members, wake: Callable[[ClusterKey], None], settle_s: float = SETTLE_S) -> None:
        self._members = members
        self._wake = wake
        self._settle_s = settle_s
        self._under_way: dict[ClusterKey, tuple[Restart, asyncio.Task[None]]] = {}
        self._ended: dict[ClusterKey, Ended] = {}

    def under_way(self, key: ClusterKey) -> Restart | None:
        """The restart that a cluster waits for."""
        found = self._under_way.get(key)
        return found[0] if found is not None else None

    def begin(self, key: ClusterKey, wanted: Restart) -> None:
        """Asks the member, without waiting for it. The cluster must have no restart under way."""
        task = asyncio.create_task(self._run(key, wanted), name=f"restart of {wanted.member} in {key[0]}")
        self._under_way[key] = wanted, task

    def ended(self, key: ClusterKey) -> Ended | None:
        """What has ended since this was asked last: it is told once."""
        return self._ended.pop(key, None)

    async def _run(self, key: ClusterKey, wanted: Restart) -> None:
        error: MatriarchError | None = None
        try:
            await self._members.restart(key[0], wanted)
            await asyncio.sleep(self._settle_s)
        except MatriarchError as met:
            error = met
        except Exception as bug:  # the top frame of this task: the cluster would wait for it for ever
            log.exception("bug", namespace=key[0], cluster=key[1], member=wanted.member)
            error = Unavailable(f"{type(bug).__name__}, an error of the operator itself: see its log")
        finally:
            del self._under_way[key]
        self._ended[key] = Ended(wanted, error)
        self._wake(key)
