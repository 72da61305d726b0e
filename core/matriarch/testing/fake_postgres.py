"""The `Postgres` port over a fake server: what the agent calls. Behaves as the port's text says, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import HistoryEntry, PostgresView, RemoteHistory, Upstream
from matriarch.testing.fake_postgres_copy import base_backup, initdb, rewound
from matriarch.testing.fake_postgres_news import Listener
from matriarch.testing.fake_postgres_server import RECORD, Server
from matriarch.testing.fake_postgres_site import between
from matriarch.testing.fake_postgres_view import busy_slots, history_of, view_of
from matriarch.testing.fake_postgres_wal import SEGMENT, DataDir, LogicalSlot
from matriarch.words.errors import NotRunning, ProgramFailed, QueryFailed
from matriarch.words.sync_names import SyncNames
from matriarch_agent.ports import Archived, StartMode

QUERY_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 10.0
"""Seconds of a fast shutdown after which the adapter kills."""


class FakePostgres:
    """One member's Postgres, as its agent sees it. The server lives on when the agent dies."""

    def __init__(self, server: Server, now: Callable[[], float] = lambda: 0.0) -> None:
        self.server = server
        self._now = now
        self.applied: ClusterSettings | None = None
        self.failures = 0
        self.last_error = ""
        self._listener = Listener(server, lambda: self.applied)
        self._running_parameters: dict[str, Any] = {}

    # --- looking --------------------------------------------------------------------------------------------------

    async def observe(self) -> PostgresView:
        """The present state; never raises, answers within two seconds."""
        server = self.server
        answered = await self._query()
        return view_of(server, self._now(), answered, self.applied, self._pending(), self.failures, self.last_error)

    async def _query(self) -> bool:
        """One SQL round trip; False when Postgres does not answer in time."""
        if self.server.hung:
            await asyncio.sleep(QUERY_TIMEOUT_S)
            return not self.server.hung
        await asyncio.sleep(between(self.server.rng, self.server.hazards.query))
        return not self.server.hung

    def _pending(self) -> dict[str, dict[str, str]]:
        if self.applied is None or self.server.process != "running":
            return {}
        wanted, running = self.applied.parameters.get("max_connections"), self._running_parameters
        have = running.get("max_connections")
        return {} if wanted == have else {"max_connections": {"old_value": str(have), "new_value": str(wanted)}}

    async def wait_for_change(self) -> None:
        """Return at the news that an agent is told without asking."""
        await self._listener.change()

    async def wait_for_silence(self, seconds: float) -> None:
        """Return when the walreceiver has had no message for so long."""
        await self._listener.silence(seconds)

    async def local_history(self) -> tuple[HistoryEntry, ...]:
        """The timeline history of the data directory."""
        return history_of(self.server.disk.branch)

    async def ask_history(self, source: Upstream, epoch: int) -> RemoteHistory:
        """IDENTIFY_SYSTEM and TIMELINE_HISTORY over a replication connection."""
        server, network = self.server, self.server.site.network

        async def serve() -> RemoteHistory:
            other = server.site.servers.get(source.host)
            while other is not None and (other.hung or other.deaf):
                await other.stirred.wait()
            if other is None or other.process != "running":
                raise QueryFailed(f"{source.member} refuses connections")
            disk = other.disk
            return RemoteHistory(
                source.member,
                epoch,
                disk.sysid,
                disk.branch.timeline,
                disk.branch.switches(),
                other.in_recovery is True,
                oldest=disk.retained_from // SEGMENT * SEGMENT,
            )

        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                return await network.ask(server.host, source.host, serve)
        except TimeoutError:
            raise QueryFailed(f"{source.member} does not answer") from None

    # --- data directories -----------------------------------------------------------------------------------------

    async def bootstrap(self, settings: ClusterSettings, standbys: tuple[str, ...]) -> str:
        """initdb; the server stays stopped."""
        server = self.server
        if server.volume.data is not None:
            raise ProgramFailed("initdb: the data directory is not empty")
        data = await initdb(server)
        self._replace(data, "initdb")
        return data.sysid

    async def run_command(self, command: tuple[str, ...], *, within: float) -> None:
        """A program that does nothing, and takes its time for it."""
        await asyncio.sleep(between(self.server.rng, self.server.hazards.query))

    async def clone(self, source: Upstream | None, settings: ClusterSettings) -> None:
        """pg_basebackup into a new directory, which replaces the old one once it is complete."""
        if source is None:
            raise ProgramFailed("no method works without a member to copy from")
        if self.server.process != "stopped":
            raise ProgramFailed("a postmaster runs on the data directory")
        data = await base_backup(self.server, source)
        if self.server.process != "stopped":
            raise ProgramFailed("a postmaster runs on the data directory")
        self._replace(data, f"clone of {source.member}")
        self.failures = 0

    async def archive_wal(self, *, within: float) -> Archived:
        """archive_command for each finished segment that waits."""
        return await self.server.archiver.offer(within)

    async def rewind(self, source: Upstream, options: tuple[str, ...] = ()) -> int:
        """pg_rewind. ProgramFailed when there is nothing to rewind, or an earlier one was cut short."""
        if self.server.process != "stopped":
            raise ProgramFailed("pg_rewind: the target server must be shut down cleanly")
        before = self.server.disk
        data = await rewound(self.server, source)
        self._replace(data, f"rewind to {source.member}")
        common = before.branch.common(before.flushed, data.branch, data.flushed)
        return before.flushed - (common[1] if common else 0)

    def _replace(self, data: DataDir, how: str) -> None:
        old, self.server.volume.data = self.server.volume.data, data
        self.server.site.watcher.data_replaced(self.server, old, data, how)

    # --- processes ------------------------------------------------------------------------------------------------

    async def start(self, mode: StartMode, settings: ClusterSettings) -> None:
        """Start the postmaster and wait until it accepts connections."""
        server = self.server
        if server.process != "stopped":
            raise NotRunning("another postmaster runs on this data directory")
        if not server.permitted():
            raise NotRunning("the lease has ended")
        disk = server.disk
        if not server.volume.readable:
            raise ProgramFailed("could not read the data directory")
        if disk.half_rewound:
            self.failures += 1
            raise ProgramFailed("pg_control is from an unfinished pg_rewind")
        disk.unborn = disk.unborn and not mode.primary
        self.applied = settings
        self._running_parameters = dict(settings.parameters)
        on = settings.parameters.get("archive_mode") == "on"
        disk.archive_command = str(settings.parameters.get("archive_command", "")) if on else ""
        life = server.launch(sync=mode.sync_names, upstream=mode.upstream)
        await asyncio.shield(server.spawn(self._come_up(life, mode.primary)))
        if not self._alive(life):
            raise NotRunning(self.last_error or "the postmaster ended while starting")
        self.failures = 0

    async def _come_up(self, life: int, primary: bool) -> None:
        server = self.server
        disk, duration = server.disk, between(server.rng, server.hazards.start)
        if disk.state not in ("shut down", "shut down in recovery"):
            duration += between(server.rng, server.hazards.crash_recovery)
            duration += (disk.flushed - disk.checkpoint) / server.hazards.replay_rate
        await asyncio.sleep(duration)
        while server.hung:
            await server.stirred.wait()
        if server.life != life:
            return
        if server.volume.full or server.rng.random() < server.hazards.start_fails:
            self.failures += 1
            why = "No space left on device" if server.volume.full else "could not map anonymous shared memory"
            self.last_error = f"FATAL: {why}"
            server.die(f"fails to start: {why}")
        elif primary:
            server.open_as_primary()
        else:
            await self._recover(life)

    async def _recover(self, life: int) -> None:
        """A replica accepts connections once it is consistent: never, when nobody sends the WAL that it needs."""
        server = self.server
        server.begin_recovery()
        while server.life == life and server.disk.flushed < server.disk.consistent_at:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if server.life == life:
            server.open_as_replica()

    async def stop(
        self,
        *,
        fast: bool,
        on_shutdown_checkpoint: Callable[[int], Awaitable[None]] | None = None,
        within: float | None = None,
    ) -> None:
        """Fast: checkpoint, shutdown record, `on_shutdown_checkpoint`, wait for the standbys. Else immediate."""
        server = self.server
        if server.process == "stopped":
            return
        if not fast:
            await self.kill()
            return
        life = server.life
        if server.process == "stopping":
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S if within is None else within):
                    await server.ended(life)
            except TimeoutError:
                await self.kill()
            return
        if server.process == "running" and server.in_recovery is False:
            await self._quietly(self.checkpoint())
        if not self._alive(life):
            await self.kill()
            return
        server.process = "stopping"
        server.notify()
        server.abort_commits()
        # A standby that shuts down lets go of its source first, and writes its last restart point after that.
        server.intake.close()
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        written.add_done_callback(lambda done: done.cancelled() or done.exception())
        ending = server.spawn(self._shut_down(life, written))
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S if within is None else within):
                end = await asyncio.shield(written)
                if on_shutdown_checkpoint is not None and server.life == life:
                    await on_shutdown_checkpoint(end)
                await asyncio.shield(ending)
        except (TimeoutError, NotRunning):
            await self.kill()

    def _alive(self, life: int) -> bool:
        return self.server.life == life and self.server.process == "running"

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                await work
        except (TimeoutError, QueryFailed, NotRunning):
            return

    async def _shut_down(self, life: int, written: asyncio.Future[int]) -> None:
        server = self.server
        hangs = server.rng.random() < server.hazards.shutdown_hangs
        await asyncio.sleep(between(server.rng, server.hazards.shutdown) + (60.0 if hangs else 0.0))
        while server.hung:
            await server.stirred.wait()
        if server.life == life and server.in_recovery is False:
            disk = server.disk
            disk.checkpoint = disk.flushed
            server.insert(RECORD)
            disk.checkpoint_end = disk.flushed
        if server.life != life:
            if not written.done():
                written.set_exception(NotRunning("the postmaster is gone"))
            return
        end = server.disk.flushed
        if server.in_recovery is False:
            server.disk.state = "shut down"
            server.notify()
        if not written.done():
            written.set_result(end)
        await server.standbys_reach(life, end)
        if server.in_recovery is False:
            await server.archiver.last_round(life)
        if server.life == life:
            primary = server.in_recovery is False
            server.die(f"shut down at {server.disk}")
            server.disk.state = "shut down" if primary else "shut down in recovery"

    async def kill(self) -> None:
        """SIGKILL to every process."""
        self.server.die("killed")
        await asyncio.sleep(between(self.server.rng, self.server.hazards.kill))

    async def promote(self) -> None:
        """pg_promote: goes on in the server when the caller goes away."""
        server = self.server
        self._need_running()
        if server.in_recovery is False:
            return
        life = server.life
        await asyncio.shield(server.spawn(self._leave_recovery(life)))
        if not self._alive(life) or not server.writable:
            raise QueryFailed("the promotion did not happen")

    async def _leave_recovery(self, life: int) -> None:
        server = self.server
        await asyncio.sleep(between(server.rng, server.hazards.promote))
        while server.hung:
            await server.stirred.wait()
        if server.life != life or server.process != "running" or server.in_recovery is not True:
            return
        if server.volume.full:
            server.run_out_of_space()
            return
        if server.rng.random() < server.hazards.promote_fails:
            server.die("dies while it is promoted")
            return
        server.leave_recovery()

    # --- settings -------------------------------------------------------------------------------------------------

    def _need_running(self) -> None:
        if self.server.process != "running":
            raise NotRunning("the server does not run")

    async def _sql(self) -> int:
        """A statement reached the server. Returns the server's life."""
        self._need_running()
        life = self.server.life
        if not await self._query():
            raise QueryFailed("canceling statement due to timeout")
        if life != self.server.life:
            raise NotRunning("the connection was closed")
        self._need_running()
        return life

    async def follow(self, upstream: Upstream | None, settings: ClusterSettings) -> None:
        """Change primary_conninfo: the walreceiver, if any, starts anew."""
        await self._sql()
        server = self.server
        self.applied = settings
        if server.upstream != upstream:
            server.upstream = upstream
            server.intake.close()
            server.notify()

    async def apply(self, settings: ClusterSettings) -> None:
        """Write the configuration and reload."""
        if self.server.process == "running":
            await self._sql()
        self.applied = settings

    async def set_sync_names(self, wanted: SyncNames) -> None:
        """Returns once every backend commits under the new names."""
        await self._sql()
        await self.server.reload_sync(wanted)

    async def checkpoint(self) -> None:
        """CHECKPOINT."""
        life = await self._sql()
        await asyncio.sleep(between(self.server.rng, self.server.hazards.checkpoint))
        if life != self.server.life or self.server.hung:
            raise QueryFailed("the connection was closed")
        if self.server.volume.full:
            self.server.run_out_of_space()
            raise QueryFailed("the connection was closed")
        self.server.checkpoint()

    async def sync_slots(
        self, want: tuple[str, ...], drop: tuple[str, ...], advance: tuple[tuple[str, int], ...] = ()
    ) -> None:
        """Drop inactive slots, create missing ones with WAL reserved, move inactive ones on."""
        await self._sql()
        server, disk = self.server, self.server.disk
        busy = busy_slots(server)
        for name in drop:
            if name in busy or not (name in disk.slots or name in disk.logical):
                continue
            disk.slots.pop(name, None)
            disk.logical.pop(name, None)
            server.site.watcher.slot_dropped(server, name)
        for name in want:
            if name not in disk.logical:
                disk.slots.setdefault(name, disk.checkpoint)
        if server.in_recovery:
            server.intake.replay()
        for name, lsn in advance:
            if name not in disk.slots or name in busy:
                continue
            if lsn < disk.slots[name]:
                raise QueryFailed(f"cannot advance replication slot to {lsn:X}, minimum is {disk.slots[name]:X}")
            disk.slots[name] = min(lsn, disk.replayed)

    async def create_logical_slot(self, slot: PermanentSlot) -> None:
        """A slot that standbys copy."""
        await self._sql()
        if self.server.in_recovery is not False:
            raise QueryFailed("logical slots cannot be made during recovery")
        disk = self.server.disk
        if slot.name in disk.slots or slot.name in disk.logical:
            raise QueryFailed(f'replication slot "{slot.name}" already exists')
        disk.logical[slot.name] = LogicalSlot(slot.database or "", slot.plugin or "", disk.flushed)
