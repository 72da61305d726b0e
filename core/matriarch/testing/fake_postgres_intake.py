"""The receiving side of a fake server: its walreceiver, and its startup process that replays what arrived."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from matriarch.testing.fake_postgres_site import between
from matriarch.testing.fake_postgres_stream import Link, refusal
from matriarch.testing.fake_postgres_wal import SEGMENT, Branch
from matriarch.words.names import slot_name

if TYPE_CHECKING:
    from matriarch.testing.fake_postgres_server import Server

CONNECT_TIMEOUT_S = 3.0
RETRY_S = 0.5
"""wal_retrieve_retry_interval."""


class Intake:
    """What a server in recovery takes in. `link` is its present stream, `received_lsn` what queries call received."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.link: Link | None = None
        self.received_lsn: int | None = None
        self._timeline = 0
        self._to_replay: deque[tuple[float, int]] = deque()
        """WAL that is flushed and not replayed yet: when it will be, and its end."""

    def forget(self) -> None:
        """A new postmaster starts, or recovery ends."""
        self.received_lsn = None
        self._to_replay.clear()

    def close(self) -> None:
        """The walreceiver ends, if there is one."""
        if self.link is not None:
            self.link.close_receiver()

    async def run(self, life: int) -> None:
        """The walreceiver: connects, streams, and tries again, as long as this process is in recovery."""
        server, said = self._server, ""
        while life == server.life and server.in_recovery:
            problem = await self._connect(life)
            if life != server.life or not server.in_recovery:
                return
            if problem and problem != said and not problem.startswith("replays"):
                server.site.watcher.event(server.member, f"cannot stream: {problem}")
            said = problem
            if not problem and self.link is not None:
                await self.link.closed
                self.link = None
                server.news.turn()
                server.notify()
            await self._pause()
            if life == server.life:
                await asyncio.sleep(0.01)

    async def _pause(self) -> None:
        """Until something stirs, or it is time to try again."""
        try:
            async with asyncio.timeout(RETRY_S):
                await self._server.stirred.wait()
        except TimeoutError:
            return

    async def _connect(self, life: int) -> str:
        """One attempt. Returns why it failed, or nothing."""
        server = self._server
        upstream = server.upstream
        if upstream is None or server.hung or server.process not in ("starting", "running"):
            return "nobody to follow"
        if server.volume.full:
            return "No space left on device"
        self.replay()
        if server.disk.replayed < server.disk.flushed:
            return "replays what is here first"
        network = server.site.network
        await asyncio.sleep(2 * network.latency())
        if not network.both_ways(server.host, upstream.host):
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            return f"{upstream.member} does not answer"
        if life != server.life or not server.in_recovery or server.upstream != upstream or server.hung:
            return "interrupted"
        sender = server.site.servers.get(upstream.host)
        slot = (upstream.slot or "") if upstream.remote else slot_name(server.member)
        problem = refusal(sender, server, slot)
        if problem is not None or sender is None:
            return f"{upstream.member}: {problem}"
        self._begin(sender, slot)
        return ""

    def _begin(self, sender: Server, slot: str) -> None:
        server, disk = self._server, self._server.disk
        self._check_lineage(sender.disk.branch, sender.disk.flushed, f"starts to stream from {sender.member}")
        disk.known_timeline = max(disk.known_timeline, sender.disk.branch.timeline)
        timeline = sender.disk.branch.at(disk.flushed + 1).timeline
        if self.received_lsn is None or timeline != self._timeline:
            # A first walreceiver, or one on another timeline, reports the start of its segment until WAL arrives.
            self.received_lsn = disk.flushed // SEGMENT * SEGMENT
        self._timeline = timeline
        self.link = link = Link(sender, server, slot)
        link.flushed = disk.flushed
        sender.links[server.member] = link
        server.site.watcher.event(server.member, f"streams from {sender.member} at {disk}, which is at {sender.disk}")
        server.notify()
        link.pump()

    def _check_lineage(self, branch: Branch, upto: int, doing: str) -> None:
        """Rule 5: what is here must be part of what the sender has."""
        server, disk = self._server, self._server.disk
        if branch is disk.branch and disk.flushed <= upto:
            return
        if not branch.holds(upto, disk.branch, disk.flushed):
            what = f"{doing}, at {branch}@{upto:X}, but has {disk}: diverged"
            server.site.watcher.violation(5, server.member, what)

    def take(self, branch: Branch, upto: int) -> None:
        """WAL up to `upto` on `branch` arrived and is written."""
        self._check_lineage(branch, upto, "received WAL")
        disk = self._server.disk
        disk.branch = branch.at(upto)
        disk.written = max(disk.written, upto)

    def flush(self, upto: int) -> None:
        """WAL is on disk: it counts for synchronous commits, and replay follows."""
        server, disk = self._server, self._server.disk
        disk.flushed = max(disk.flushed, upto)
        self.received_lsn = disk.flushed
        for link in list(server.links.values()):
            link.pump()
        replayed_at = self._loop.time() + between(server.rng, server.hazards.replay_delay)
        if self._to_replay:
            replayed_at = max(replayed_at, self._to_replay[-1][0])
        self._to_replay.append((replayed_at, disk.flushed))

    def replay(self) -> None:
        """Let replay come as far as it has by now. Called by whoever looks at `replayed`: a timer for each step that
        nobody looks at would be most of what a simulation does."""
        now = self._loop.time()
        while self._to_replay and self._to_replay[0][0] <= now:
            disk = self._server.disk
            disk.replayed = max(disk.replayed, self._to_replay.popleft()[1])
