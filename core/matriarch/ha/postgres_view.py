"""What a member knows of its own Postgres. Part of the view; see `matriarch.ha.view`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from matriarch.ha.postgres_slots import Slot
from matriarch.ha.settings import ClusterSettings
from matriarch.words.facts import fact
from matriarch.words.sync_names import SyncNames


@fact(frozen=True, slots=True)
class Standby:
    """One row of pg_stat_replication. LSNs in bytes."""

    name: str
    state: str
    sync_state: str
    write_lsn: int | None
    flush_lsn: int | None
    replay_lsn: int | None
    user: str = ""
    address: str | None = None
    sync_priority: int | None = None


@fact(frozen=True, slots=True)
class ControlData:
    """What pg_controldata says of a data directory."""

    state: str
    sysid: str
    timeline: int
    checkpoint_lsn: int
    """Start of the latest checkpoint record."""
    end_lsn: int | None = None
    """End of the latest checkpoint record, when the server was shut down cleanly; the first byte that is not there."""
    was_primary: bool = False
    """The directory was last written by a server out of recovery."""
    checksums: bool = True
    redo_lsn: int | None = None
    """Where crash recovery would begin."""
    consistent_at: int | None = None
    """The position that a server in recovery must come to before it can be used; after a rewind the source's end."""

    @property
    def clean(self) -> bool:
        """Shut down cleanly: no crash recovery is due."""
        return self.state in ("shut down", "shut down in recovery")


UNFIT_AFTER_S = 2.0
DISK_FULL = "the disk is full"
DISK_FULL_BYTES = 32 * 1024 * 1024
"""A volume with less room counts as full: crash recovery and a promotion write a segment or two of WAL."""


@fact(frozen=True, slots=True)
class PostgresView:
    """The local Postgres. `data` is `unknown` when the directory cannot be read: then nothing may be concluded."""

    data: Literal["unknown", "empty", "present"] = "unknown"
    process: Literal["stopped", "starting", "running", "stopping"] = "stopped"
    starting_since: float | None = None
    """Since when a server has been starting: since its postmaster began, or was last seen to accept connections."""
    in_recovery: bool | None = None
    sysid: str | None = None
    timeline: int | None = None
    lsn: int | None = None
    """Primary: current write position. Replica: the larger of received and replayed."""
    received_lsn: int | None = None
    replayed_lsn: int | None = None
    replayed_all: bool = False
    """A replica that has come, since its start, to the end of the WAL on its disk: `lsn` counts all that it has."""
    latest_end_lsn: int | None = None
    replayed_at: str | None = None
    """When the last transaction that it replayed was committed, in UTC."""
    streaming: bool = False
    heard_age: float | None = None
    """Seconds since the WAL receiver last had a message; None without a receiver."""
    replay_paused: bool = False
    """Replay stands still: by a person's word, or since the primary raised a parameter above this server's."""
    reads_archive: bool = False
    """In recovery it has a restore_command, so that what it does not stream it may read from an archive."""
    upstream: str | None = None
    """The member that this replica is set to follow; None for nobody."""
    control: ControlData | None = None
    led_timeline: int | None = None
    """The last timeline on which this member itself was primary since its data was last copied or rewound."""
    switches: Mapping[int, int] = field(default_factory=dict)
    """Each past timeline of this data and the LSN where it was left, by the timeline history file."""
    server_version: int | None = None
    standbys: tuple[Standby, ...] = ()
    slots: tuple[Slot, ...] | None = None
    """All but temporary ones; None: not known."""
    sync_names: SyncNames | None = None
    """synchronous_standby_names in effect."""
    sync_names_lsn: int = 0
    """WAL position at which they took effect."""
    sync_names_sure: bool = False
    """They are known to be in force in every process; not so after a change that failed, and for a new agent."""
    postmaster_start_time: str | None = None
    pending_restart: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    applied: ClusterSettings | None = None
    """The cluster settings whose configuration files are in force."""
    unborn: bool = False
    """A data directory that this member initialised and never yet started as a primary: nobody has ever used it."""
    unproven: bool = False
    """The data was rewound and no server has come up on it since. It goes as far as `control.consistent_at`, but some
    of the WAL up to there may have to come from elsewhere."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """The user's parameters and pg_hba lines that are not in force: name or line to reason."""
    failures: int = 0
    """Failed attempts to start since the last success."""
    data_failures: int = 0
    """How many of them ended after the server had turned to its data. The others tell nothing against the data."""
    last_error: str = ""
    unusable_for: float | None = None
    """Seconds for which no new session got anything done here although the server runs; None while one does, and while
    nobody knows."""
    unusable_why: str = ""
    unarchived: int = 0
    """Finished WAL files of this member's time as primary that its archive has not taken yet; counted while its server
    is down or in recovery, since a primary archives them itself."""
    disk_free: int | None = None
    """Bytes that Postgres may still write to its volume."""
    observed_at: float = 0.0

    @property
    def running(self) -> bool:
        """Accepting connections."""
        return self.process == "running"

    @property
    def replication_state(self) -> str | None:
        """Where a server in recovery has its WAL from (after Patroni); None when from nowhere, or it is none."""
        if not (self.running and self.in_recovery):
            return None
        if self.streaming:
            return "streaming"
        return "in archive recovery" if self.reads_archive else None

    @property
    def disk_full(self) -> bool:
        """Whether there is known to be no room for more WAL."""
        return self.disk_free is not None and self.disk_free < DISK_FULL_BYTES

    @property
    def unfit(self) -> str:
        """Why a leader without a working Postgres had better not give way to this member; empty when nothing is known
        against it."""
        if self.disk_full:
            return DISK_FULL
        return "takes no new sessions" if self.unusable_for is not None and self.unusable_for > UNFIT_AFTER_S else ""

    @property
    def closed(self) -> bool:
        """Shutting down, and the last record is written: nothing is committed here any more. What is left of it waits
        for standbys and for the archive."""
        return self.process == "stopping" and self.control is not None and self.control.state == "shut down"

    @property
    def writable(self) -> bool:
        """Possibly able to commit: a process is there and it is not known to be in recovery."""
        return self.process != "stopped" and self.in_recovery is not True and not self.closed
