"""What an agent is told of its fake server without asking, and how late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from matriarch.ha.settings import ClusterSettings
from matriarch.testing.bell import Bell
from matriarch.testing.fake_postgres_site import between

if TYPE_CHECKING:
    from matriarch.testing.fake_postgres_server import Server

MUCH_WAL = 64 * 1024 * 1024
"""Bytes after which an agent is told that a primary has written on."""
INSTANT_S = 1e-6
"""A wait that is shorter may not move the clock at all."""


class News:
    """The server's side."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.transitions = 0
        """Starts and ends of the postmaster, and ends of its WAL stream: told at once."""
        self.of_standbys = 0
        """How often an adapter would have noticed that standbys, or the amount of WAL, had changed."""
        self.bell = Bell()
        """Rings with each of both."""
        self._told_lsn = 0

    def turn(self) -> None:
        """The postmaster has started or ended, or its WAL stream has ended."""
        self.transitions += 1
        self.bell.ring()

    def standbys_changed(self) -> None:
        """Of that an adapter learns by asking now and then, as long as the server is a primary."""
        if self._server.in_recovery is False:
            self._loop.call_later(between(self._server.rng, self._server.hazards.notice), self._tell)

    def wrote(self, lsn: int) -> None:
        """A primary has written up to here."""
        if lsn - self._told_lsn > MUCH_WAL:
            self._told_lsn = lsn
            self.standbys_changed()

    def _tell(self) -> None:
        self.of_standbys += 1
        self.bell.ring()


class Listener:
    """One agent's side. `applied` tells the settings that it has put in force."""

    def __init__(self, server: Server, applied: Callable[[], ClusterSettings | None]) -> None:
        self._server = server
        self._applied = applied
        self._seen = (server.news.transitions, 0)
        self._silent_since = -1.0
        """Since when the stream was silent when that was last told."""

    async def change(self) -> None:
        """Return at the next news. Those of standbys are for a server whose commits wait for them."""
        while self._seen == self._present():
            await self._server.news.bell.wait()
        self._seen = self._present()

    async def silence(self, seconds: float) -> None:
        """Return when the walreceiver has had no message for so long; once for each silence."""
        while True:
            link = self._server.intake.link
            if link is None or not link.receiver_open:
                await self._server.stirred.wait()
                continue
            left = seconds - link.silent_for
            over = left < INSTANT_S
            if over and self._silent_since != link.heard_at:
                self._silent_since = link.heard_at
                return
            await asyncio.sleep(seconds if over else left)

    def _present(self) -> tuple[int, int]:
        applied, news = self._applied(), self._server.news
        return news.transitions, news.of_standbys if applied is not None and applied.synchronous else 0
