"""Stopping the server: its end is noticed whenever it comes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from matriarch_agent.init.client import InitClient, PostmasterStatus
from matriarch_agent.postgres.control import ServerControl
from matriarch_agent.postgres.controldata import ControlCache
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.sql import Session


class QuickInit:
    """Its postmaster has ended, and the client has heard of it, before whoever sent the signal goes on."""

    def __init__(self) -> None:
        self.changes = 7
        self.alive = True
        self.sent: list[str] = []

    async def status(self) -> PostmasterStatus:
        return PostmasterStatus(1 if self.alive else None, self.alive, None, None, None, terminating=False)

    async def signal(self, name: str) -> None:
        self.sent.append(name)
        self.alive = False
        self.changes += 1

    async def kill(self) -> None:
        self.sent.append("KILL")


async def test_a_server_that_ends_at_once_is_not_waited_for(tmp_path: Path) -> None:
    place = Place("demo-0", "demo", volume=tmp_path, run=tmp_path, secrets=tmp_path, programs=tmp_path)
    place.pgdata.mkdir(parents=True)
    (place.pgdata / "postmaster.pid").write_text("1\n\n\n\n\n\n\nstarting\n")
    init = QuickInit()
    session = Session(str(tmp_path), place.port, "postgres")
    server = ServerControl(place, cast(InitClient, init), session, cast(ControlCache, None), "postgres")
    async with asyncio.timeout(5.0):
        await server.stop(fast=True, on_shutdown_checkpoint=None)
    assert init.sent == ["INT"]
