"""What the agent's shell needs of the world. Each port has a real adapter and a simulated one.

Time: the shell uses asyncio's own sleeps and timeouts plus `now`, a callable that tells the member's monotonic clock in
seconds (CLOCK_BOOTTIME in production), so that the simulator can run it on virtual time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import HistoryEntry, PeerAnswer, PostgresView, RemoteHistory, Upstream
from matriarch.words.sync_names import NOBODY, SyncNames

Now = Callable[[], float]


@dataclass(frozen=True, slots=True)
class StartMode:
    """How to start Postgres. A primary starts with `sync_names` in force."""

    primary: bool
    upstream: Upstream | None = None
    sync_names: SyncNames = NOBODY


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of the WAL that was offered to the archive: files taken, files left, and why those were left."""

    done: int
    left: int
    complaint: str = ""


class Postgres(Protocol):
    """The local Postgres server and its data directory.

    Methods raise PostgresError (or a subclass). Long ones may be cancelled: they then leave a state from which
    `observe` tells the truth and the same method may be called again. `observe` never raises and answers within two
    seconds.
    """

    async def observe(self) -> PostgresView:
        """The present state. What cannot be known is None or `unknown`."""
        ...

    async def wait_for_change(self) -> None:
        """Return when the postmaster has started or ended, or its WAL stream has ended, since the last call; where
        commits wait for standbys, within half a second after one of those came, went or caught up, or after so much WAL
        was written that the last look tells little of a crash recovery."""
        ...

    async def wait_for_silence(self, seconds: float) -> None:
        """Return when the WAL receiver has had no message for so long; once for each silence. Returns as well when the
        server does not tell."""
        ...

    async def bootstrap(self, settings: ClusterSettings, standbys: tuple[str, ...]) -> str:
        """initdb, roles and the database. Returns the system identifier and leaves the server stopped: the
        identifier is on record in the cluster before the first commit can be acknowledged.

        The directory is built beside the final place and moved there when it is complete, so that a crash half-way
        leaves an empty member.
        """
        ...

    async def clone(self, source: Upstream | None, settings: ClusterSettings) -> None:
        """Fill a new directory by the first of the settings' methods that succeeds (pg_basebackup of `source`, unless
        they name others), then replace the data directory by it. None: only methods that need no member."""
        ...

    async def run_command(self, command: tuple[str, ...], *, within: float) -> None:
        """Run a program that the cluster settings name, for `within` seconds at most. When the caller is cancelled it
        is killed with its children."""
        ...

    async def archive_wal(self, *, within: float) -> Archived:
        """Run the `archive_command` of this server's own configuration for each finished WAL file that waits for it,
        history files first, until one fails or `within` seconds are over. Not while the server itself archives."""
        ...

    async def rewind(self, source: Upstream, options: tuple[str, ...] = ()) -> int:
        """pg_rewind against `source`, with further options. Raises ProgramFailed when the data cannot be rewound.

        Returns how much WAL of this member it dropped, in bytes.
        """
        ...

    async def start(self, mode: StartMode, settings: ClusterSettings) -> None:
        """Write the configuration, start the postmaster and wait until it accepts connections.

        There is no limit of its own on crash recovery: the caller cancels. Refuses (NotRunning) when another
        postmaster of this directory is alive.
        """
        ...

    async def stop(
        self,
        *,
        fast: bool,
        on_shutdown_checkpoint: Callable[[int], Awaitable[None]] | None = None,
        within: float | None = None,
    ) -> None:
        """Stop. `fast`: checkpoint first, then a fast shutdown; `on_shutdown_checkpoint` is called with the end LSN of
        the shutdown record while the WAL senders still run. Not fast: immediate shutdown. Escalates to SIGKILL of
        every process of the postmaster when it does not end in time; returns only when none is left. A shutdown that
        is under way already is waited for in the same way.

        `within`: seconds for the checkpoint and the fast shutdown together; None: the adapter's own bounds."""
        ...

    async def kill(self) -> None:
        """SIGKILL every process of the postmaster. Returns when none is left. The fence."""
        ...

    async def promote(self) -> None:
        """Leave recovery; returns when the server is out of recovery and accepts writes."""
        ...

    async def follow(self, upstream: Upstream | None, settings: ClusterSettings) -> None:
        """Change primary_conninfo and reload."""
        ...

    async def apply(self, settings: ClusterSettings) -> None:
        """Write configuration files and reload; what needs a restart shows in `observe().pending_restart`."""
        ...

    async def set_sync_names(self, wanted: SyncNames) -> None:
        """Put synchronous_standby_names in force; returns when every backend commits under it. Possible in recovery
        too: then it is in force from the first commit after a promotion."""
        ...

    async def checkpoint(self) -> None:
        """CHECKPOINT."""
        ...

    async def sync_slots(
        self, want: tuple[str, ...], drop: tuple[str, ...], advance: tuple[tuple[str, int], ...] = ()
    ) -> None:
        """Drop the inactive slots of `drop`, create the physical ones of `want` that are missing then (with WAL
        reserved), and move inactive ones of `advance` on to a position, as far as this server has it."""
        ...

    async def create_logical_slot(self, slot: PermanentSlot) -> None:
        """Make a logical slot that standbys copy. Waits for the transactions that are open."""
        ...

    async def local_history(self) -> tuple[HistoryEntry, ...]:
        """The timeline history file of the current timeline; empty on timeline 1."""
        ...

    async def ask_history(self, source: Upstream, epoch: int) -> RemoteHistory:
        """Timeline and history of another member's Postgres, over a replication connection."""
        ...


class Init(Protocol):
    """The agent's parent: holds the leash."""

    async def set_lease(self, until: float | None) -> None:
        """Tell the end of the lease (seconds on `now`'s clock). When it passes, init kills Postgres at once, whatever
        the agent does. None: Postgres is not under the leash (in recovery, stopped, or paused)."""
        ...

    async def lease(self) -> float | None:
        """The lease end that init knows; what a restarted agent may go on with."""
        ...

    async def untouched(self) -> bool:
        """Whether no postmaster has run since the container started."""
        ...


@dataclass(frozen=True, slots=True)
class FailsafeClaim:
    """Body of `POST /failsafe`: who claims to be primary."""

    name: str
    api_url: str
    conn_url: str
    slots: Mapping[str, int] = field(default_factory=dict)
    ttl: float = 0.0
    """For how long it asks, in seconds; 0 when it does not tell, as Patroni: then for the ttl of who is asked."""
    timeline: int | None = None
    """The timeline on which it is primary; None when it does not tell, as Patroni, or leads a standby cluster."""


class Peers(Protocol):
    """The other members over HTTP. Never raises: what does not answer in time is not reachable."""

    async def ask(self, name: str, api_url: str, *, timeout: float) -> PeerAnswer:
        """`GET /patroni` of a member."""
        ...

    async def claim(self, api_url: str, claim: FailsafeClaim, *, timeout: float) -> bool:
        """`POST /failsafe`; True when the member accepted."""
        ...
