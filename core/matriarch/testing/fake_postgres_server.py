"""A fake postmaster with its data directory: recovery, commits, replication, crashes. Agents never see this side."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from matriarch.ha.view import Upstream
from matriarch.testing.fake_postgres_site import Hazards, Site, between
from matriarch.testing.fake_postgres_stream import Link, refusal
from matriarch.testing.fake_postgres_wal import SEGMENT, Branch, DataDir, Volume
from matriarch.words.errors import NotRunning
from matriarch.words.names import slot_name

RECORD = 120
"""Bytes of a checkpoint, an end-of-recovery or a shutdown record."""
CONNECT_TIMEOUT_S = 3.0
RETRY_S = 0.5
"""wal_retrieve_retry_interval."""


@dataclass(frozen=True, slots=True)
class SyncNames:
    """synchronous_standby_names: each of `names` must flush; `strict` with no names lets nothing through."""

    names: tuple[str, ...] = ()
    strict: bool = False


@dataclass(slots=True)
class Waiter:
    """A commit that is flushed here and waits for its standbys."""

    branch: Branch
    lsn: int
    done: asyncio.Future[tuple[Branch, int]]


class Server:
    """State of one server; `life` counts its processes, so that nothing of a former one touches the next."""

    def __init__(
        self, member: str, host: str, site: Site, rng: random.Random, hazards: Hazards, volume: Volume
    ) -> None:
        self.member = member
        self.host = host
        self.site = site
        self.rng = rng
        self.hazards = hazards
        self.volume = volume
        self.process: Literal["stopped", "starting", "running", "stopping"] = "stopped"
        self.in_recovery: bool | None = None
        self.life = 0
        self.transitions = 0
        """Starts and ends of the postmaster."""
        self._stops = 0
        self.started_at = 0.0
        self.sync: list[SyncNames] = [SyncNames()]
        """Settings in force, the newest last. More than one while a reload is reaching the backends."""
        self.sync_lsn = 0
        self.upstream: Upstream | None = None
        self.links: dict[str, Link] = {}
        self.receiver: Link | None = None
        self.received_lsn: int | None = None
        self.stirred = asyncio.Event()
        """Set at every change, for whoever waits on one."""
        self._waiters: list[Waiter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._replaying = False
        self._received_timeline = 0
        site.servers[host] = self

    @property
    def disk(self) -> DataDir:
        """The data directory. Raises NotRunning when there is none."""
        if self.volume.data is None:
            raise NotRunning("the data directory is empty")
        return self.volume.data

    @property
    def writable(self) -> bool:
        """Out of recovery, up and not stopped by a signal: a client's commit can be executed here."""
        return self.process == "running" and self.in_recovery is False and not self.hung

    @property
    def hung(self) -> bool:
        """Stopped by a signal: a process is there and does nothing."""
        return self._stops > 0

    def can_acknowledge(self) -> bool:
        """Whether a commit that is sent now could be acknowledged as things stand."""
        return self.writable and any(
            all(self._synchronous(name) for name in sync.names) and not (sync.strict and not sync.names)
            for sync in self.sync
        )

    def _synchronous(self, name: str) -> bool:
        link = self._link(name)
        if link is None or not link.receiver_open or link.receiver.hung:
            return False
        return self.site.network.both_ways(self.host, link.receiver.host)

    def _link(self, name: str) -> Link | None:
        link = self.links.get(name.lower())
        return link if link is not None and link.streaming else None

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work of the server itself: it goes on when the agent goes away. Kept, so that it is not garbage-collected."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    # --- processes ------------------------------------------------------------------------------------------------

    def launch(self, *, sync: SyncNames, upstream: Upstream | None) -> int:
        """The postmaster starts. Returns its life."""
        self.life += 1
        self.process = "starting"
        self.in_recovery = None
        self._stops = 0
        self._replaying = False
        self.sync = [sync]
        self.sync_lsn = 0
        self.upstream = upstream
        self.received_lsn = None
        self.started_at = asyncio.get_running_loop().time()
        self.transitions += 1
        self.notify()
        return self.life

    def open_as_replica(self) -> None:
        """Consistent: read-only queries are accepted, and the walreceiver starts."""
        disk = self.disk
        disk.state, disk.was_primary = "in archive recovery", False
        self.process, self.in_recovery = "running", True
        disk.replayed = disk.flushed
        self.spawn(self._receive(self.life))
        self.notify()

    def open_as_primary(self) -> None:
        """Crash recovery is over and the server accepts writes, on the timeline that it had."""
        disk = self.disk
        disk.replayed = disk.flushed
        branch = disk.branch
        if branch.owner != self.member or branch.end != disk.flushed:
            disk.branch = self.site.wal.grow(self.member, disk.sysid, branch.timeline, branch, disk.flushed)
        self._out_of_recovery(disk)

    def leave_recovery(self) -> None:
        """The end of a promotion: a new timeline, numbered as far as this server knows of others."""
        if self.receiver is not None:
            self.receiver.close_receiver()
        disk = self.disk
        disk.written = disk.replayed = disk.flushed
        disk.known_timeline = max(disk.known_timeline, disk.branch.timeline) + 1
        disk.branch = self.site.wal.grow(self.member, disk.sysid, disk.known_timeline, disk.branch, disk.flushed)
        for link in list(self.links.values()):
            link.close_sender()
        self._out_of_recovery(disk)

    def _out_of_recovery(self, disk: DataDir) -> None:
        disk.state, disk.was_primary = "in production", True
        disk.led_timeline = disk.branch.timeline
        disk.unborn = False
        self.process, self.in_recovery = "running", False
        self.insert(RECORD)
        self.site.watcher.event(self.member, f"accepts writes on {disk} with {self._sync_text()}")
        self.notify()

    def _sync_text(self) -> str:
        newest = self.sync[-1]
        return ",".join(newest.names) or ("nobody allowed" if newest.strict else "no standby")

    def die(self, why: str, *, machine: bool = False) -> None:
        """Every process of the postmaster is gone at once. With `machine`, what was not flushed is gone too."""
        if self.process == "stopped":
            return
        self.life += 1
        self.process, self.in_recovery, self._stops = "stopped", None, 0
        self.transitions += 1
        if self.volume.data is not None:
            self.volume.data.crash(machine=machine)
        self.abort_commits()
        for link in list(self.links.values()):
            link.close_sender()
        if self.receiver is not None:
            self.receiver.close_receiver()
        self.site.watcher.event(self.member, f"postgres {why}")
        self.notify()

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP or SIGCONT to every process of the postmaster; several who stop it must all let it go on."""
        if self.process != "stopped":
            self._stops = max(0, self._stops + (1 if frozen else -1))
            self.notify()
            self.release()

    def notify(self) -> None:
        """Something a watcher or a waiting method may care for has changed."""
        self.stirred.set()
        self.stirred = asyncio.Event()
        self.site.watcher.changed(self)

    # --- commits --------------------------------------------------------------------------------------------------

    async def commit(self, size: int) -> tuple[Branch, int]:
        """Commit `size` bytes of WAL. Returns its end position once it is acknowledged.

        Raises ConnectionError when the server is not there for writes, or goes before it acknowledged: the commit may
        or may not have happened then.
        """
        life = self.life
        await asyncio.sleep(between(self.rng, self.hazards.fsync))
        while self.hung:
            await self.stirred.wait()
        if life != self.life or not self.writable:
            raise ConnectionError(f"{self.member} takes no writes")
        self.insert(size)
        disk = self.disk
        done: asyncio.Future[tuple[Branch, int]] = asyncio.get_running_loop().create_future()
        self._waiters.append(Waiter(disk.branch, disk.flushed, done))
        self.release()
        return await done

    def insert(self, size: int) -> None:
        """Write and flush WAL, and send it on."""
        disk = self.disk
        disk.branch.end += size
        disk.written = disk.flushed = disk.replayed = disk.branch.end
        for link in list(self.links.values()):
            link.pump()

    def release(self) -> None:
        """Acknowledge every commit that has what it waits for under any of the settings in force."""
        if not self._waiters or not self.writable:
            return
        horizon = max(self._horizon(sync) for sync in self.sync)
        ready = [waiter for waiter in self._waiters if waiter.lsn <= horizon]
        if not ready:
            return
        self._waiters = [waiter for waiter in self._waiters if waiter.lsn > horizon]
        for waiter in ready:
            if not waiter.done.done():
                self.site.watcher.acknowledged(self, waiter.branch, waiter.lsn)
                waiter.done.set_result((waiter.branch, waiter.lsn))

    def _horizon(self, sync: SyncNames) -> float:
        if not sync.names:
            return -1 if sync.strict else float("inf")
        links = [self._link(name) for name in sync.names]
        return min(link.flushed if link is not None else -1 for link in links)

    def abort_commits(self) -> None:
        """Break the sessions whose commits wait: their clients learn nothing."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done.done():
                waiter.done.set_exception(ConnectionError(f"{self.member} closed the session"))

    async def reload_sync(self, sync: SyncNames) -> None:
        """New synchronous_standby_names reach the backends one after the other; then only they are in force.

        A caller that goes away does not stop it.
        """
        if sync == self.sync[-1]:
            return
        self.sync.append(sync)
        self.release()
        self.notify()
        life = self.life
        await asyncio.shield(self.spawn(self._settle_sync(life, sync)))

    async def _settle_sync(self, life: int, sync: SyncNames) -> None:
        await asyncio.sleep(between(self.rng, self.hazards.reload))
        while self.hung:
            await self.stirred.wait()
        if life == self.life and sync in self.sync:
            self.sync = self.sync[self.sync.index(sync) :]
            self.sync_lsn = self.disk.flushed
            self.site.watcher.event(self.member, f"commits wait for {self._sync_text()}")
            self.notify()
            self.release()

    # --- sending --------------------------------------------------------------------------------------------------

    def link_changed(self, link: Link) -> None:
        """A standby caught up."""
        self.release()
        self.notify()

    def link_closed(self, link: Link) -> None:
        """A walsender ended."""
        if self.links.get(link.name) is link:
            del self.links[link.name]
        self.notify()

    def confirmed(self, link: Link) -> None:
        """A standby flushed more."""
        disk = self.volume.data
        if disk is not None and link.slot in disk.slots:
            disk.slots[link.slot] = max(disk.slots[link.slot], link.flushed)
        self.release()

    # --- receiving ------------------------------------------------------------------------------------------------

    async def _receive(self, life: int) -> None:
        """The walreceiver: connects, streams, and tries again, as long as this process is in recovery."""
        said = ""
        while life == self.life and self.in_recovery:
            problem = await self._connect(life)
            if life != self.life or not self.in_recovery:
                return
            if problem and problem != said and not problem.startswith("replays"):
                self.site.watcher.event(self.member, f"cannot stream: {problem}")
            said = problem
            if not problem and self.receiver is not None:
                await self.receiver.closed
                self.receiver = None
                self.notify()
            waiting = asyncio.ensure_future(self.stirred.wait())
            await asyncio.wait([waiting], timeout=RETRY_S)
            waiting.cancel()
            if life == self.life:
                await asyncio.sleep(0.01)

    async def _connect(self, life: int) -> str:
        """One attempt. Returns why it failed, or nothing."""
        upstream = self.upstream
        if upstream is None or self.hung:
            return "nobody to follow"
        if self.disk.replayed < self.disk.flushed:
            return "replays what is here first"
        network = self.site.network
        await asyncio.sleep(2 * network.latency())
        if not network.both_ways(self.host, upstream.host):
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            return f"{upstream.member} does not answer"
        if life != self.life or not self.in_recovery or self.upstream != upstream or self.hung:
            return "interrupted"
        sender = self.site.servers.get(upstream.host)
        slot = (upstream.slot or "") if upstream.remote else slot_name(self.member)
        problem = refusal(sender, self, slot)
        if problem is not None or sender is None:
            return f"{upstream.member}: {problem}"
        self._begin(sender, slot)
        return ""

    def _begin(self, sender: Server, slot: str) -> None:
        self.check_lineage(sender.disk.branch, sender.disk.flushed, f"starts to stream from {sender.member}")
        self.disk.known_timeline = max(self.disk.known_timeline, sender.disk.branch.timeline)
        timeline = sender.disk.branch.at(self.disk.flushed + 1).timeline
        if self.received_lsn is None or timeline != self._received_timeline:
            # A first walreceiver, or one on another timeline, reports the start of its segment until WAL arrives.
            self.received_lsn = self.disk.flushed // SEGMENT * SEGMENT
        self._received_timeline = timeline
        self.receiver = link = Link(sender, self, slot)
        link.flushed = self.disk.flushed
        sender.links[self.member] = link
        self.site.watcher.event(self.member, f"streams from {sender.member} at {self.disk}, which is at {sender.disk}")
        self.notify()
        link.pump()

    def check_lineage(self, branch: Branch, upto: int, doing: str) -> None:
        """Rule 5: what is here must be part of what the sender has."""
        if not branch.holds(upto, self.disk.branch, self.disk.flushed):
            self.site.watcher.violation(5, self.member, f"{doing}, at {branch}@{upto:X}, but has {self.disk}: diverged")

    def take(self, branch: Branch, upto: int) -> None:
        """WAL up to `upto` on `branch` arrived and is written."""
        self.check_lineage(branch, upto, "received WAL")
        disk = self.disk
        disk.branch = branch.at(upto)
        disk.written = max(disk.written, upto)

    def flush(self, upto: int) -> None:
        """WAL is on disk: it counts for synchronous commits, and replay follows."""
        disk = self.disk
        disk.flushed = max(disk.flushed, upto)
        self.received_lsn = disk.flushed
        for link in list(self.links.values()):
            link.pump()
        if not self._replaying:
            self._replaying = True
            delay = between(self.rng, self.hazards.replay_delay)
            asyncio.get_running_loop().call_later(delay, self._replay, self.life)

    def _replay(self, life: int) -> None:
        if life != self.life:
            return
        self._replaying = False
        if self.volume.data is not None:
            self.volume.data.replayed = self.volume.data.flushed
