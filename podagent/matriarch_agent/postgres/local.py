"""`LocalPostgres`: the Postgres port on real programs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import HistoryEntry, PostgresView, RemoteHistory, Upstream
from matriarch.words.errors import NotRunning, PostgresError, ProgramFailed
from matriarch.words.sync_names import SyncNames
from matriarch_agent.files import remove_file, replace_file, there, translated
from matriarch_agent.init.client import InitClient
from matriarch_agent.journal import Log
from matriarch_agent.ports import Archived, StartMode
from matriarch_agent.postgres import bootstrap, credentials, history, past, programs, slots
from matriarch_agent.postgres.archive import Archive
from matriarch_agent.postgres.conf_files import ConfFiles
from matriarch_agent.postgres.control import DataFailure, ServerControl
from matriarch_agent.postgres.controldata import ControlCache, read_control
from matriarch_agent.postgres.copying import Copy
from matriarch_agent.postgres.directory import DataDirectory
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.refused_lines import RefusedLines
from matriarch_agent.postgres.reloading import COMMITTING, RECEIVING, reload_provably
from matriarch_agent.postgres.rewind import Rewound, rewind
from matriarch_agent.postgres.roles import RolePasswords
from matriarch_agent.postgres.sql import Session
from matriarch_agent.postgres.watcher import Watcher

CHECKPOINT_WITHIN_S = 600.0
IN_FORCE_WITHIN_S = 2.0
_HBA_COMPLAINTS = "select line_number, error from pg_hba_file_rules where error is not null"


class LocalPostgres:
    """This member's Postgres."""

    def __init__(self, place: Place, init: InitClient, log: Log) -> None:
        superuser = credentials.role_name(place, credentials.SUPERUSER)
        self._place = place
        self._init = init
        self._log = log
        self._directory = DataDirectory(place)
        self._control_file = ControlCache(place)
        self._session = Session(str(place.run), place.port, superuser)
        self._files = ConfFiles(place)
        self._refused_lines = RefusedLines(place)
        self._archive = Archive(place, self._server_runs)
        self._server = ServerControl(place, init, self._session, self._control_file, superuser)
        self._roles = RolePasswords(place, self._session, log)
        self._watcher = Watcher(
            place,
            init,
            self._directory,
            self._control_file,
            self._session,
            self._server,
            self._files,
            self._roles,
            self._archive,
            superuser,
        )
        self._changes_seen = 0
        self.last_rewind: Rewound | None = None
        """What the last rewind of this agent dropped."""

    async def observe(self) -> PostgresView:
        """The present state; see the port."""
        return await self._watcher.observe()

    async def wait_for_change(self) -> None:
        """Return when something has happened that the agent is told without asking; see the port."""
        life = asyncio.ensure_future(self._init.wait_for_change(self._changes_seen))
        stream = asyncio.ensure_future(self._watcher.receiver.ended())
        standbys = asyncio.ensure_future(self._watcher.listening.standbys_changed())
        try:
            await asyncio.wait({life, stream, standbys}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                self._changes_seen = life.result()
        finally:
            life.cancel()
            stream.cancel()
            standbys.cancel()

    async def wait_for_silence(self, seconds: float) -> None:
        """Return when the WAL stream has been silent for so long; see the port."""
        await self._watcher.listening.silence(seconds)

    async def bootstrap(self, settings: ClusterSettings, standbys: tuple[str, ...]) -> str:
        """initdb, roles and database; the server stays stopped; see the port."""
        del standbys
        if settings.commands.bootstrap_refused:
            raise ProgramFailed(settings.commands.bootstrap_refused)
        target = await self._directory.begin()
        if self._directory.state() == "present":
            raise ProgramFailed("there is a data directory already: it is not initialised anew")
        try:
            await bootstrap.build(self._place, target, settings.commands)
            sysid = (await read_control(self._place, target)).data.sysid
            past.note_unborn(self._place, sysid)
        except BaseException:
            await asyncio.shield(self._directory.abandon())
            raise
        await self._directory.finish()
        past.forget_led(self._place)
        return sysid

    async def clone(self, source: Upstream | None, settings: ClusterSettings) -> None:
        """Copy `source` beside the data directory, then put the copy in its place; see the port."""
        remote = source is not None and source.remote
        where = self._files.source(source) if source is not None else None
        copy = Copy(self._place, self._directory, settings.commands, self._log)
        with translated(self._directory.new):
            sysid = await copy.make(where, remote=remote)
        if remote:
            # A copy of another cluster that nobody has used here gives way to the identifier on record.
            past.note_unborn(self._place, sysid)
        await self._server.kill()
        await self._directory.finish()
        past.forget_led(self._place)
        past.forget_rewound(self._place)
        self._watcher.forget_failures()
        self._log("data copied", source=source.member if source is not None else None)

    async def archive_wal(self, *, within: float) -> Archived:
        """Offer a former primary's WAL to the archive; see the port."""
        return await self._archive.offer(within)

    async def _server_runs(self) -> bool:
        return (await self._init.status()).alive

    async def rewind(self, source: Upstream, options: tuple[str, ...] = ()) -> int:
        """pg_rewind against `source`; see the port."""
        if (await self._init.status()).alive:
            raise PostgresError("stop the server before a rewind")
        control = (await read_control(self._place)).data
        before = past.unproven(self._place, control)
        # Before the fact: a crash must not leave data that seems to be whole and waits for WAL without end.
        past.note_rewound(self._place, control.sysid)
        try:
            self.last_rewind = await rewind(self._place, self._directory, self._files.source(source), options)
        except (PostgresError, asyncio.CancelledError):
            if not before and not self._directory.half_rewound:
                past.forget_rewound(self._place)
            raise
        past.forget_led(self._place)
        dropped = self.last_rewind
        self._log("rewound", source=source.member, fork_lsn=dropped.fork_lsn, dropped_wal_bytes=dropped.dropped_bytes)
        return dropped.dropped_bytes

    async def start(self, mode: StartMode, settings: ClusterSettings) -> None:
        """Write the configuration, start, wait until connections are accepted; see the port."""
        if (await self._init.status()).alive:
            raise NotRunning("another postmaster of this directory is alive")
        await self._directory.tidy()
        try:
            with translated(self._place.pgdata):
                await self._prepare(mode, settings)
            await self._server.start()
            past.forget_rewound(self._place)
            await self._watcher.note_start(mode, settings)
        except PostgresError as error:
            self._watcher.note_failure(str(error), over_data=isinstance(error, DataFailure))
            raise

    async def stop(
        self,
        *,
        fast: bool,
        on_shutdown_checkpoint: Callable[[int], Awaitable[None]] | None = None,
        within: float | None = None,
    ) -> None:
        """Stop; see the port. `on_shutdown_checkpoint` is called once after a clean shutdown, at the latest when the
        server has ended."""
        await self._server.stop(fast=fast, on_shutdown_checkpoint=on_shutdown_checkpoint, within=within)

    async def kill(self) -> None:
        """SIGKILL every process of the postmaster; returns when none is left."""
        await self._server.kill()

    async def promote(self) -> None:
        """Leave recovery; returns when the server accepts writes."""
        past.note_born(self._place)
        await self._server.promote()
        self._watcher.note_promoted()
        self._files.edit(self._files.following(None))
        await self._watcher.mark_sync_position()
        await self._server.reload()

    async def follow(self, upstream: Upstream | None, settings: ClusterSettings) -> None:
        """Change primary_conninfo and reload. Following nobody is done when the WAL receiver is closed for good."""
        del settings
        self._files.edit(self._files.following(upstream))
        self._watcher.note_upstream(upstream)
        if upstream is not None:
            await self._server.reload()
            return
        await reload_provably(self._session, self._server.reload, RECEIVING, timeout=IN_FORCE_WITHIN_S)
        await self._watcher.receiver_closed(IN_FORCE_WITHIN_S)

    async def apply(self, settings: ClusterSettings) -> None:
        """Write configuration files and reload."""
        control = await self._control_file.read()
        in_recovery = there(self._place.pgdata / "standby.signal")
        least = control.shared_memory if control and in_recovery else None
        (level,) = await self._session.row("show wal_level")
        usable = self._refused_lines.without(settings)
        await self._files.write(usable, None, least, has_copies=self._watcher.has_copies, wal_level=str(level))
        await self._server.reload()
        complaints = {int(line): str(why) for line, why in await self._session.rows(_HBA_COMPLAINTS)}
        self._refused_lines.note(usable, complaints)
        if complaints and self._files.drop_hba_lines(usable, complaints):
            await self._server.reload()
        self._files.refused.update(self._refused_lines.known)
        self._watcher.note_applied(settings, least)
        if self._files.refused:
            self._log("settings refused", refused=self._files.refused)

    async def set_sync_names(self, wanted: SyncNames) -> None:
        """Put synchronous_standby_names in force; returns when every process acts on it."""
        with self._watcher.changing_sync_names():
            self._files.edit(self._files.synchronous(wanted))
            await reload_provably(self._session, self._server.reload, COMMITTING, timeout=IN_FORCE_WITHIN_S)
        await self._watcher.mark_sync_position(wanted)

    async def checkpoint(self) -> None:
        """CHECKPOINT."""
        try:
            await self._server.checkpoint(CHECKPOINT_WITHIN_S)
        except TimeoutError as error:
            raise PostgresError(f"CHECKPOINT took longer than {CHECKPOINT_WITHIN_S} s") from error

    async def sync_slots(
        self, want: tuple[str, ...], drop: tuple[str, ...], advance: tuple[tuple[str, int], ...] = ()
    ) -> None:
        """Drop, create and move slots on; see the port."""
        await slots.sync_slots(self._session, want, drop, advance)

    async def create_logical_slot(self, slot: PermanentSlot) -> None:
        """Make a logical slot that standbys copy."""
        await slots.create_logical(self._session, slot)

    async def local_history(self) -> tuple[HistoryEntry, ...]:
        """The timeline history file of the current timeline."""
        view = await self._watcher.observe()
        timeline = view.timeline or (view.control.timeline if view.control else 1)
        return history.read_history(self._place.pgdata, timeline)

    async def ask_history(self, source: Upstream, epoch: int) -> RemoteHistory:
        """Timeline and history of another member's Postgres."""
        return await history.ask_history(self._place, self._files.source(source), epoch)

    async def run_command(self, command: tuple[str, ...], *, within: float) -> None:
        """Run a program of the settings; see the port."""
        await programs.check(command, self._place.environment(), timeout=within)

    async def close(self) -> None:
        """End what is under way and close the lasting connection."""
        self._watcher.receiver.close()
        self._watcher.close()
        await self._roles.close()
        await self._session.close()

    async def _prepare(self, mode: StartMode, settings: ClusterSettings) -> None:
        """Everything on disk that the role needs. Raises PostgresError when this data must not start in it."""
        if self._directory.half_rewound:
            raise ProgramFailed("an interrupted rewind left a mixture of two members' data: it has to be copied anew")
        control = await read_control(self._place)
        in_order = control.data.was_primary or there(self._place.pgdata / "backup_label")
        if mode.primary and not in_order:
            raise PostgresError("this is a standby's data: it is promoted, not started as a primary")
        if mode.primary:
            past.note_born(self._place)
        else:
            past.note_led(self._place, control.data)
        member = {
            **self._files.following(None if mode.primary else mode.upstream),
            **self._files.synchronous(mode.sync_names),
        }
        least = None if mode.primary else control.shared_memory
        usable = self._refused_lines.without(settings)
        await self._files.write(usable, member, least, has_copies=self._files.may_have_copies())
        self._files.refused.update(self._refused_lines.known)
        signal_file = self._place.pgdata / "standby.signal"
        for name in ("recovery.signal", "promote"):
            remove_file(self._place.pgdata / name, durable=False)
        if mode.primary:
            remove_file(signal_file, durable=False)
        elif not there(signal_file):
            replace_file(signal_file, "", durable=False)
