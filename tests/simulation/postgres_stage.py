"""Where the contract of a Postgres is tried: its members, fake or real, as a test sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import PostgresView, Upstream
from matriarch_agent.ports import Postgres

SETTINGS = ClusterSettings(parameters={"fsync": "off", "shared_buffers": "16MB"})


class Party(Protocol):
    """One member as a test sees it."""

    name: str

    @property
    def postgres(self) -> Postgres: ...

    @property
    def upstream(self) -> Upstream: ...

    async def write(self) -> None:
        """One commit; returns when it is acknowledged."""

    async def finish_segment(self) -> None:
        """Let the WAL go on to its next segment."""


class Stage(Protocol):
    """Makes members."""

    async def primary(self) -> Party: ...

    async def replica(self, of: Party, name: str) -> Party: ...


async def seen(party: Party, check: Callable[[PostgresView], bool], within_s: float = 20.0) -> PostgresView:
    view = await party.postgres.observe()
    try:
        async with asyncio.timeout(within_s):
            while not check(view):
                await asyncio.sleep(0.05)
                view = await party.postgres.observe()
    except TimeoutError:
        raise AssertionError(f"{party.name}: {view}") from None
    return view
