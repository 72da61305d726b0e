"""Putting together what is known of the local Postgres: never raising, always within two seconds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import PostgresView, Upstream
from matriarch.words.errors import PostgresError, QueryFailed
from matriarch.words.sync_names import SyncNames
from matriarch_agent.files import there
from matriarch_agent.init import kernel
from matriarch_agent.init.client import InitClient, PostmasterStatus
from matriarch_agent.ports import StartMode
from matriarch_agent.postgres import credentials, history, past, sql
from matriarch_agent.postgres.archive import Archive
from matriarch_agent.postgres.conf_files import ConfFiles
from matriarch_agent.postgres.control import ServerControl, known_status
from matriarch_agent.postgres.controldata import ControlCache
from matriarch_agent.postgres.directory import DataDirectory, DataState
from matriarch_agent.postgres.listening import Listening
from matriarch_agent.postgres.observe import QUERY, Facts, read_facts
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.probe import Probe
from matriarch_agent.postgres.receiver import ReceiverWatch
from matriarch_agent.postgres.roles import RolePasswords
from matriarch_agent.postgres.sql import Session

INIT_WITHIN_S = 0.4
DISK_WITHIN_S = 0.4
SQL_WITHIN_S = 1.0
PENDING_EVERY_S = 10.0
PENDING_FRESH_S = 3.0
"""After a reload the flags are asked for at every look for so long."""


class Watcher:
    """Observes, and remembers what only the one who did it knows: which settings were applied, who is followed."""

    def __init__(
        self,
        place: Place,
        init: InitClient,
        directory: DataDirectory,
        control: ControlCache,
        session: Session,
        server: ServerControl,
        files: ConfFiles,
        roles: RolePasswords,
        archive: Archive,
        superuser: str,
    ) -> None:
        self._place = place
        self._init = init
        self._directory = directory
        self._control = control
        self._session = session
        self._server = server
        self._files = files
        self._roles = roles
        self._archive = archive
        self.receiver = ReceiverWatch()
        self.listening = Listening(session)
        self._failures = self._data_failures = 0
        self.has_copies = False
        """The server has copies of logical slots."""
        self._last_error = ""
        self._applied: ClusterSettings | None = None
        self._least: Mapping[str, int] | None = None
        self._upstream: tuple[str | None] | None = None
        self._in_force: SyncNames | None = None
        self._proven = False
        self._sync_lsn = 0
        self._changing_sync = False
        self._pending: Mapping[str, Mapping[str, str]] = {}
        self._pending_asked = -PENDING_EVERY_S
        self._reloaded_at = -PENDING_FRESH_S
        self._at_end_of: str | None = None
        self._timeline: tuple[tuple[str, int | None], int] | None = None
        self._disk: asyncio.Task[DataState] | None = None
        self._switches: tuple[int, Mapping[int, int]] | None = None
        self._status: PostmasterStatus | None = None
        self._probe = Probe(place, superuser)
        self._stands_still = False
        self._room: int | None = None
        self._ran_at = 0.0

    async def observe(self) -> PostgresView:
        """The present state."""
        data = await self._data_state()
        status = await known_status(self._init, INIT_WITHIN_S)
        view = PostgresView(
            data=data,
            failures=self._failures,
            data_failures=self._data_failures,
            last_error=self._last_error,
            observed_at=kernel.now(),
            applied=self._applied,
            refused=self._files.refused,
            disk_free=self._room,
        )
        control = await self._control.read() if data == "present" else None
        if control is not None:
            led_on = past.led_timeline(self._place, control.data)
            unborn = past.unborn(self._place, control.data)
            view = replace(view, control=control.data, sysid=control.data.sysid, led_timeline=led_on)
            view = replace(view, unproven=past.unproven(self._place, control.data))
            view = replace(view, unborn=unborn, switches=self._history(control.data.timeline))
            if self._least is not None and self._least != control.shared_memory:
                # The primary changed what a standby must have at least: the files are to be written anew.
                view = replace(view, applied=None)
        if status is None:
            # What it said last still says whether this is a server in recovery, which is all that matters now.
            view = replace(view, last_error="init does not answer")
        self._status = status or self._status
        view = replace(view, process=self._server.phase(self._status) if self._status else "starting")
        view = replace(view, starting_since=self._starting_since(view))
        if view.process != "running":
            self._probe.forget()
        recovering = self._starts_as_standby()
        if view.led_timeline is not None and (recovering or view.process == "stopped"):
            view = replace(view, unarchived=self._archive.waiting)
        if view.process == "stopped":
            self._note_stopped()
            return view
        view = replace(view, in_recovery=True if recovering else None)
        return self._with_use(await self._with_facts(view)) if view.process == "running" else view

    def _with_use(self, view: PostgresView) -> PostgresView:
        """Whether anybody else could work here as well."""
        silent, pid = view.lsn is None, self._status.pid if self._status else None
        seconds, why = self._probe.look(pid, suspicious=silent, stands_still=self._stands_still and not silent)
        return replace(view, unusable_for=seconds, unusable_why=why)

    async def note_start(self, mode: StartMode, settings: ClusterSettings) -> None:
        """The server was started by us and says that it is ready. Raises PostgresError when it answers nobody."""
        self.note_upstream(None if mode.primary else mode.upstream)
        await self.mark_sync_position(mode.sync_names)
        control = None if mode.primary else await self._control.read()
        self.note_applied(settings, control.shared_memory if control is not None else None)
        self.forget_failures()
        self._last_error = ""

    def note_failure(self, error: str, *, over_data: bool) -> None:
        """A start failed, after the server had turned to its data or before."""
        self._failures += 1
        self._data_failures += over_data
        self._last_error = error

    def forget_failures(self) -> None:
        """Starts that failed count no more: the server has started, or has other data."""
        self._failures = self._data_failures = 0

    def note_applied(self, settings: ClusterSettings, least: Mapping[str, int] | None) -> None:
        """These settings' files are in force; `least` is what a standby's control file asked for meanwhile."""
        self._applied = settings
        self._least = least
        self._reloaded_at = kernel.now()

    def note_promoted(self) -> None:
        """Nobody is followed any more, and no value has to be as great as another's: the files are written anew."""
        self.note_upstream(None)
        self._applied = None
        self._least = None

    def note_upstream(self, upstream: Upstream | None) -> None:
        """Who is followed from now on."""
        self._upstream = (None if upstream is None else upstream.member,)

    @contextmanager
    def changing_sync_names(self) -> Iterator[None]:
        """Until the change is known to be in force, and for good when that fails, the names of before are told."""
        self._changing_sync = True
        yield
        self._changing_sync = False

    async def mark_sync_position(self, wanted: SyncNames | None = None) -> None:
        """Everything written from here on was committed under the present names. Raises PostgresError.

        A transaction of our own goes first: on an idle server nothing else would flush the last record for up to 15
        seconds, and a standby has caught up only once it has it.
        """
        facts = await self._ask(pending=False)
        if not facts.in_recovery:
            await self._session.row("select pg_current_xact_id()::text", timeout=SQL_WITHIN_S)
            facts = await self._ask(pending=False)
        self._sync_lsn = facts.insert_lsn or facts.lsn or 0
        if wanted is not None:
            self._in_force, self._proven = wanted, True
            self._changing_sync = False

    async def receiver_closed(self, timeout: float) -> None:
        """Wait until there is no WAL receiver. Raises QueryFailed when it does not end in time."""
        began = kernel.now()
        while (await self._session.row("select count(pid) from pg_stat_get_wal_receiver()"))[0]:
            if kernel.now() - began > timeout:
                raise QueryFailed(f"the WAL receiver is still there after {timeout} s")
            await asyncio.sleep(0.005)

    def close(self) -> None:
        """End what is under way."""
        self._probe.forget()
        self.listening.close()

    async def _data_state(self) -> DataState:
        """The directory's state, from a thread: a volume that hangs must not hang the agent."""
        look = self._disk
        if look is None or look.done():
            look = self._disk = asyncio.create_task(asyncio.to_thread(self._look_at_disk))
        # Two may observe at once, and the other may have begun the next look by the time this one has ended.
        done, _ = await asyncio.wait({look}, timeout=DISK_WITHIN_S)
        if not done:
            return "unknown"
        found = look.result()
        try:
            replacing = found == "present" and not self._server.stopping and self._directory.untidy
            return await self._tidied() if replacing else found
        except (PostgresError, TimeoutError):
            return "unknown"

    def _look_at_disk(self) -> DataState:
        self._room = self._directory.room()
        self._archive.look()
        return self._directory.state()

    async def _tidied(self) -> DataState:
        """A replacement is to be finished first; a large old directory takes its time to remove.

        Raises PostgresError or TimeoutError.
        """
        if not there(self._directory.path) or self._directory.new_is_complete:
            async with asyncio.timeout(DISK_WITHIN_S):
                await self._directory.tidy()
        return "present"

    def _starting_since(self, view: PostgresView) -> float | None:
        if view.process == "running":
            self._ran_at = view.observed_at
        began = self._status.started_at if self._status is not None else None
        return None if began is None or view.process != "starting" else max(began, self._ran_at)

    def _starts_as_standby(self) -> bool:
        """Whether it is certain that the server starts, or has started, in recovery: else it may be writable."""
        return os.path.exists(self._place.pgdata / "standby.signal")

    def _note_stopped(self) -> None:
        self.receiver.note(None)
        self.listening.heed_standbys(False)
        self._in_force, self._proven = None, False
        self._changing_sync = False
        self._upstream = None
        self._pending = {}
        self._timeline = None
        self._at_end_of = None
        self._switches = None
        self._roles.note_not_primary()
        self._session.drop()

    async def _with_facts(self, view: PostgresView) -> PostgresView:
        now = kernel.now()
        fresh = now - self._reloaded_at < PENDING_FRESH_S
        pending = fresh or now - self._pending_asked >= PENDING_EVERY_S
        try:
            facts = await self._ask(pending=pending)
        except PostgresError as error:
            return replace(view, last_error=str(error))
        self.receiver.note(facts.receiver)
        waited_for = self._applied is not None and self._applied.synchronous
        self.listening.heed_standbys(waited_for and not facts.in_recovery)
        self._take_pending(facts, now)
        self.has_copies = any(slot.synced for slot in facts.slots)
        if self._files.copies_linger and not self.has_copies:
            view = replace(view, applied=None)
        self._stands_still = self._probe.still(facts.insert_lsn, facts.flush_lsn)
        if facts.in_recovery:
            self._roles.note_not_primary()
            with suppress(PostgresError):
                credentials.write_passfile(self._place)
        else:
            self._roles.note_primary()
        if not self._changing_sync:
            self._adopt_sync(facts)
        if facts.at_end:
            self._at_end_of = facts.started
        timeline = facts.timeline if facts.timeline is not None else await self._standby_timeline(facts)
        return replace(
            view,
            in_recovery=facts.in_recovery,
            timeline=timeline,
            switches=self._history(timeline),
            led_timeline=view.led_timeline if facts.in_recovery else timeline,
            lsn=facts.lsn,
            received_lsn=facts.received_lsn,
            replayed_lsn=facts.replayed_lsn,
            replayed_all=self._at_end_of == facts.started,
            replayed_at=facts.replayed_at,
            reads_archive=facts.reads_archive,
            latest_end_lsn=facts.latest_end_lsn,
            streaming=facts.streaming,
            heard_age=facts.heard_age,
            replay_paused=facts.replay_paused,
            upstream=(self._upstream[0] if self._upstream else facts.upstream) if facts.in_recovery else None,
            server_version=facts.server_version,
            standbys=facts.standbys,
            slots=facts.slots,
            sync_names=self._in_force or facts.sync_names,
            sync_names_lsn=self._sync_lsn,
            sync_names_sure=self._proven and not self._changing_sync,
            postmaster_start_time=facts.started,
            pending_restart=self._pending,
        )

    async def _ask(self, *, pending: bool) -> Facts:
        row = await self._session.row(QUERY, (pending,), timeout=SQL_WITHIN_S)
        return read_facts(row[0])

    def _take_pending(self, facts: Facts, now: float) -> None:
        if facts.pending is None:
            return
        self._pending_asked = now
        self._pending = facts.pending

    def _adopt_sync(self, facts: Facts) -> None:
        """What the server says differs from what is known to be in force: a new agent, or a person's hand. It counts
        from this position on."""
        if facts.sync_names != self._in_force:
            self._in_force, self._proven = facts.sync_names, False
            self._sync_lsn = facts.insert_lsn or facts.lsn or 0

    def _history(self, timeline: int | None) -> Mapping[int, int]:
        """Where the timelines before `timeline` were left. Empty when that is not told, which proves nothing."""
        if timeline is None or timeline < 2:
            return {}
        if self._switches is None or self._switches[0] != timeline or not self._switches[1]:
            try:
                entries = history.read_history(self._place.pgdata, timeline)
            except PostgresError:
                entries = ()
            self._switches = (timeline, {entry.timeline: entry.lsn for entry in entries})
        return self._switches[1]

    async def _standby_timeline(self, facts: Facts) -> int | None:
        """A standby that receives nothing: the timeline that it has replayed, asked over a replication connection."""
        key = (facts.started, facts.replayed_lsn)
        if self._timeline is not None and self._timeline[0] == key:
            return self._timeline[1]
        try:
            async with asyncio.timeout(INIT_WITHIN_S):
                timeline = await sql.local_timeline(self._session)
        except (PostgresError, TimeoutError):
            return None
        self._timeline = (key, timeline)
        return timeline
