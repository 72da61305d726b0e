"""The archiver of a fake server, and what its agent does in its place once the server is gone."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from matriarch.testing.bell import Bell
from matriarch.testing.fake_postgres_site import between
from matriarch.testing.fake_postgres_wal import SEGMENT
from matriarch_agent.ports import Archived

if TYPE_CHECKING:
    from matriarch.testing.fake_postgres_server import Server

AGAIN_S = 1.0
"""After a failure, as in Postgres."""


class Archiver:
    """Hands finished segments to the archive of the server's site. Its chances are its own: a server that does not
    archive lives as it would without it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._rng = random.Random(f"{server.member}/{server.host}/archive")
        self._finished = Bell()
        self._turn = asyncio.Lock()

    def wrote(self, before: int) -> None:
        """The server's WAL has grown from `before` on: note the segments that are finished by that."""
        disk = self._server.disk
        done = range(before // SEGMENT, disk.flushed // SEGMENT)
        if disk.archive_command and done:
            disk.ready += [(disk.branch.at((number + 1) * SEGMENT), number) for number in done]
            self._finished.ring()

    async def run(self, life: int) -> None:
        """The archiver of a primary, as long as that process lives."""
        server = self._server
        server.disk.offered = False
        while life == server.life and server.process == "running":
            if server.hung:
                await server.stirred.wait()
            elif not server.disk.ready:
                await self._finished.wait()
            elif not await self._one(life):
                await asyncio.sleep(AGAIN_S)

    async def last_round(self, life: int) -> None:
        """What the archiver of a server that shuts down does: each segment once, until one fails."""
        server = self._server
        while life == server.life and server.disk.ready and await self._one(life):
            continue

    async def offer(self, within: float) -> Archived:
        """The agent's part: `Postgres.archive_wal`."""
        server, until = self._server, asyncio.get_running_loop().time() + within
        async with self._turn:
            disk, life, done = server.disk, server.life, 0
            complaint = "" if disk.archive_command else "archive_mode is off"
            try:
                async with asyncio.timeout_at(until):
                    while disk.ready and not complaint and server.in_recovery is not False:
                        if await self._one(life):
                            done += 1
                        else:
                            complaint = "archive_command ended with status 1"
            except TimeoutError:
                complaint = "the time for it is over"
            disk.offered = True
            return Archived(done, len(disk.ready), complaint)

    async def _one(self, life: int) -> bool:
        """One run of archive_command, for the oldest segment. It dies with its server. Of commands the fake knows
        `false` and `sleep`; every other one archives."""
        server, disk = self._server, self._server.disk
        program, _, seconds = disk.archive_command.partition(" ")
        longer = float(seconds) if program == "sleep" else 0.0
        await asyncio.sleep(between(self._rng, server.hazards.archive) + longer)
        if life != server.life or not disk.ready or self._rng.random() < server.hazards.archive_fails:
            return False
        if program == "false":
            return False
        server.site.archive.add(disk.ready.pop(0))
        return True
