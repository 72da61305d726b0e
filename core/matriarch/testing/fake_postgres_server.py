"""A fake postmaster with its data directory: recovery, commits, replication, crashes. Agents never see this side."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from matriarch.ha.view import Upstream
from matriarch.testing.bell import Bell
from matriarch.testing.fake_postgres_archive import Archiver
from matriarch.testing.fake_postgres_intake import Intake
from matriarch.testing.fake_postgres_news import News
from matriarch.testing.fake_postgres_site import Hazards, Site, between
from matriarch.testing.fake_postgres_stream import Link
from matriarch.testing.fake_postgres_wal import CHECKPOINT_EVERY, Branch, DataDir, Volume
from matriarch.words.errors import NotRunning
from matriarch.words.sync_names import NOBODY, SyncNames

RECORD = 120
"""Bytes of a checkpoint, an end-of-recovery or a shutdown record."""


Reply = Callable[[tuple[Branch, int] | None], None]
"""Called once with the end of a commit that is acknowledged, or with None when the session broke before it was."""


@dataclass(slots=True)
class Waiter:
    """A commit that is flushed here and waits for its standbys."""

    branch: Branch
    lsn: int
    reply: Reply


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
        self._stops = 0
        self.hung = False
        """Stopped by a signal: a process is there and does nothing."""
        self._loop = asyncio.get_running_loop()
        self.started = ""
        """pg_postmaster_start_time."""
        self.deaf = False
        """The postmaster alone is stopped: sessions go on, and no new one comes about."""
        self._unusable_since: float | None = None
        self.permitted: Callable[[], bool] = lambda: True
        """Whether init would start a postmaster now."""
        self.sync: list[SyncNames] = [NOBODY]
        """Settings in force, the newest last. More than one while a reload is reaching the backends."""
        self.sync_lsn = 0
        self.upstream: Upstream | None = None
        self.links: dict[str, Link] = {}
        self.intake = Intake(self)
        self.news = News(self)
        self.archiver = Archiver(self)
        self.stirred = Bell()
        """Rings at every change."""
        self._stalled: list[Callable[[], None]] = []
        """Commits that a hung server has not looked at yet."""
        self._waiters: list[Waiter] = []
        self._tasks: list[asyncio.Task[None]] = []
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
    def unusable_for(self) -> float | None:
        """Seconds for which it has hung or been deaf."""
        return None if self._unusable_since is None else self._loop.time() - self._unusable_since

    def can_acknowledge(self) -> bool:
        """Whether a commit that is sent now could be acknowledged as things stand."""
        return self.writable and any(
            sum(self._synchronous(name) for name in sync.names) >= sync.count and not sync.blocks for sync in self.sync
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
        task = self._loop.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    # --- processes ------------------------------------------------------------------------------------------------

    def launch(self, *, sync: SyncNames, upstream: Upstream | None) -> int:
        """The postmaster starts. Returns its life."""
        self.life += 1
        self.process = "starting"
        self.in_recovery = None
        self._stops, self.hung, self.deaf, self._unusable_since = 0, False, False, None
        self.sync = [sync]
        self.sync_lsn = 0
        self.upstream = upstream
        self.intake.forget()
        self.started = f"{self._loop.time():.6f}"
        self.news.turn()
        self.notify()
        return self.life

    @property
    def age(self) -> float:
        """Seconds since the postmaster was started."""
        return self._loop.time() - float(self.started)

    def begin_recovery(self) -> None:
        """What WAL is here is replayed, and the walreceiver starts."""
        disk = self.disk
        disk.state, disk.was_primary = "in archive recovery", False
        self.in_recovery = True
        disk.replayed = disk.flushed
        self.spawn(self.intake.run(self.life))
        self.notify()

    def open_as_replica(self) -> None:
        """Consistent: read-only queries are accepted."""
        self.process = "running"
        self.disk.unproven = False
        self.notify()

    def open_as_primary(self) -> None:
        """Crash recovery is over and the server accepts writes, on the timeline that it had."""
        disk = self.disk
        disk.replayed = disk.checkpoint = disk.checkpoint_end = disk.flushed
        branch = disk.branch
        if branch.owner != self.member or branch.end != disk.flushed:
            disk.branch = self.site.wal.grow(self.member, disk.sysid, branch.timeline, branch, disk.flushed)
        self._out_of_recovery(disk)

    def leave_recovery(self) -> None:
        """The end of a promotion: a new timeline, numbered as far as this server knows of others."""
        self.intake.close()
        self.intake.forget()
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
        if disk.archive_command:
            self.spawn(self.archiver.run(self.life))
        self.insert(RECORD)
        self.sync_lsn = disk.flushed
        self.site.watcher.event(self.member, f"accepts writes on {disk} with {self._sync_text()}")
        self.notify()

    def _sync_text(self) -> str:
        newest = self.sync[-1]
        listed = ",".join(newest.names) or ("nobody allowed" if newest.strict else "no standby")
        return f"any {newest.count} of {listed}" if newest.quorum else listed

    def die(self, why: str, *, machine: bool = False) -> None:
        """Every process of the postmaster is gone at once. With `machine`, what was not flushed is gone too."""
        if self.process == "stopped":
            return
        self.intake.replay()
        self.life += 1
        self.process, self.in_recovery = "stopped", None
        self._stops, self.hung, self.deaf, self._unusable_since = 0, False, False, None
        self.news.turn()
        if self.volume.data is not None:
            self.volume.data.crash(machine=machine)
        self.abort_commits()
        for link in list(self.links.values()):
            link.close_sender()
        self.intake.close()
        self.site.watcher.event(self.member, f"postgres {why}")
        self.notify()

    async def standbys_reach(self, life: int, end: int) -> None:
        """A walsender does not end before its standby has everything, or is given up."""
        for link in list(self.links.values()):
            while self.life == life and link.sender_open and link.flushed < end:
                await link.stirred.wait()

    async def ended(self, life: int) -> None:
        """Return when no process of that life is left."""
        while self.life == life:
            await self.stirred.wait()

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP or SIGCONT to every process of the postmaster; several who stop it must all let it go on."""
        if self.process != "stopped":
            self._stops = max(0, self._stops + (1 if frozen else -1))
            self.hung = self._stops > 0
            self._note_use()
            self.notify()
            self.release()
            if not self.hung:
                self._unstall()

    def deafen(self, deaf: bool) -> None:
        """SIGSTOP or SIGCONT to the postmaster alone."""
        if self.process != "stopped":
            self.deaf = deaf
            self._note_use()

    def _note_use(self) -> None:
        if not self.hung and not self.deaf:
            self._unusable_since = None
        elif self._unusable_since is None:
            self._unusable_since = self._loop.time()

    def notify(self) -> None:
        """Something a watcher or a waiting method may care for has changed."""
        self.stirred.ring()
        self.site.watcher.changed(self)

    # --- commits --------------------------------------------------------------------------------------------------

    async def commit(self, size: int) -> tuple[Branch, int]:
        """Commit `size` bytes of WAL. Returns its end position once it is acknowledged.

        Raises ConnectionError when the server is not there for writes, or goes before it acknowledged: the commit may
        or may not have happened then.
        """
        done: asyncio.Future[tuple[Branch, int] | None] = self._loop.create_future()
        delay = between(self.rng, self.hazards.fsync)
        self.submit(size, delay, lambda end: None if done.done() else done.set_result(end))
        end = await done
        if end is None:
            raise ConnectionError(f"{self.member} takes no writes, or closed the session")
        return end

    def submit(self, size: int, delay: float, reply: Reply) -> None:
        """`commit` for a client that does not wait: done in `delay` seconds, on its way and in fsync; `reply` is called
        when there is something to tell."""
        self._loop.call_later(delay, self._execute, self.life, size, reply)

    def _execute(self, life: int, size: int, reply: Reply) -> None:
        if self.hung and life == self.life:
            self._stalled.append(partial(self._execute, life, size, reply))
            return
        if life != self.life or not self.writable:
            reply(None)
            return
        if self.volume.full:
            self.run_out_of_space()
            reply(None)
            return
        self.insert(size)
        disk = self.disk
        self._waiters.append(Waiter(disk.branch, disk.flushed, reply))
        self.release()

    def _unstall(self) -> None:
        stalled, self._stalled = self._stalled, []
        for execute in stalled:
            execute()

    def insert(self, size: int) -> None:
        """Write and flush WAL, and send it on."""
        disk = self.disk
        before = disk.flushed
        disk.branch.end += size
        disk.written = disk.flushed = disk.replayed = disk.branch.end
        self.archiver.wrote(before)
        for link in list(self.links.values()):
            link.pump()
        if disk.flushed - disk.checkpoint > CHECKPOINT_EVERY:
            self.checkpoint()
        self.news.wrote(disk.flushed)

    def checkpoint(self) -> None:
        """A checkpoint, or a restartpoint in recovery: WAL that neither crash recovery nor standbys need goes."""
        disk = self.disk
        disk.checkpoint = disk.flushed
        if self.in_recovery is False:
            self.insert(RECORD)
        disk.checkpoint_end = disk.flushed
        disk.remove_old_wal(self.hazards.wal_keep)

    def run_out_of_space(self) -> None:
        """A primary that cannot write its WAL does not go on."""
        self.die("PANIC: could not write to file: No space left on device")

    def release(self) -> None:
        """Acknowledge every commit that has what it waits for under any of the settings in force."""
        if not self._waiters or not self.writable:
            return
        horizon = self._horizon(self.sync[0]) if len(self.sync) == 1 else max(map(self._horizon, self.sync))
        if self._waiters[0].lsn > horizon:
            return
        ready = [waiter for waiter in self._waiters if waiter.lsn <= horizon]
        self._waiters = self._waiters[len(ready) :]
        for waiter in ready:
            self.site.watcher.acknowledged(self, waiter.branch, waiter.lsn)
            waiter.reply((waiter.branch, waiter.lsn))

    def _horizon(self, sync: SyncNames) -> float:
        """Up to where standbys have what `sync` asks for. FIRST with fewer than all names counts any of them here."""
        if not sync.names:
            return -1 if sync.strict else float("inf")
        links = [self._link(name) for name in sync.names]
        flushed = sorted((link.flushed if link is not None else -1 for link in links), reverse=True)
        return flushed[sync.count - 1] if sync.count <= len(flushed) else -1

    def abort_commits(self) -> None:
        """Break the sessions whose commits wait: their clients learn nothing."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.reply(None)
        self._unstall()

    async def reload_sync(self, sync: SyncNames) -> None:
        """New synchronous_standby_names reach the backends one after the other; then only they are in force.

        A caller that goes away does not stop it.
        """
        if self.sync == [sync]:
            return
        self.sync.append(sync)
        self.notify()
        self.release()
        life = self.life
        await asyncio.shield(self.spawn(self._settle_sync(life, sync)))

    async def _settle_sync(self, life: int, sync: SyncNames) -> None:
        await asyncio.sleep(between(self.rng, self.hazards.reload))
        while self.hung:
            await self.stirred.wait()
        if life == self.life and sync in self.sync:
            last = len(self.sync) - 1 - self.sync[::-1].index(sync)
            self.sync = self.sync[last:]
            self.sync_lsn = self.disk.flushed
            self.site.watcher.event(self.member, f"commits wait for {self._sync_text()}")
            self.notify()
            self.release()

    # --- sending --------------------------------------------------------------------------------------------------

    def link_changed(self, link: Link) -> None:
        """A standby caught up."""
        self.news.standbys_changed()
        self.notify()
        self.release()

    def link_closed(self, link: Link) -> None:
        """A walsender ended."""
        if self.links.get(link.name) is link:
            del self.links[link.name]
            self.news.standbys_changed()
        self.notify()

    def confirmed(self, link: Link) -> None:
        """A standby flushed more."""
        disk = self.volume.data
        if disk is not None and link.slot in disk.slots:
            disk.slots[link.slot] = max(disk.slots[link.slot], link.flushed)
        self.release()
