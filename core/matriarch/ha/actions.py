"""What a decision may ask for. Each action is one imperative step; the order of a decision's actions is a promise.

The executor runs them in order and stops at the first that fails or does not apply any more. `Activity` actions are
long: they run as the one background activity; the loop goes on observing meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

from matriarch.ha.reasons import Reason
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import Listed, Upstream
from matriarch.words.facts import fact
from matriarch.words.sync_names import NOBODY, SyncNames

# --- lock and other records: compare-and-swap on the versions that the view showed -------------------------------


@dataclass(frozen=True, slots=True)
class Acquire:
    """Take the free lock by compare-and-swap on `version` (None: create it). The lease starts when it is sent.

    `counted`: the lock is not free, but its holder silent; this is what the sync object said when it was judged that it
    can acknowledge nothing any more.
    """

    version: str | None
    counted: Listed | None = None


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Renew a lock that already names this member but for which it has no lease, on `version`."""

    version: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give the lock up on purpose. Only with Postgres stopped, in recovery, or shutting down with
    its last record written. `handed_over`: somebody else is to have
    it; this member does not race for it again before the TTL is over. `successor`: who, as far as can be told: the
    primary's address goes to that member in the same write."""

    handed_over: bool = False
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class WriteSync:
    """Write the sync object by compare-and-swap on `version`: besides the leader, any `quorum` + 1 of `standbys`
    together have every acknowledged commit."""

    leader: str | None
    standbys: tuple[str, ...]
    version: str | None
    quorum: int = 0


@dataclass(frozen=True, slots=True)
class Promise:
    """Close the WAL receiver and take nothing more from the holder while the lock stays at `version`: no WAL, no
    failsafe claim."""

    version: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Announce on the sync object, by compare-and-swap on `version`, that this member is about to take the lock."""

    version: str


@dataclass(frozen=True, slots=True)
class Renew:
    """Renew the lock now and go on only when that succeeded: every promise on its former version is void."""


@dataclass(frozen=True, slots=True)
class WriteInitialize:
    """Set `initialize` on the config object, on `version`."""

    value: str
    version: str | None


@dataclass(frozen=True, slots=True)
class WriteHistory:
    """Publish the local timeline history on the config object."""

    timeline: int


@dataclass(frozen=True, slots=True)
class ClearRequest:
    """Empty the failover object, on `version`; `why` tells the person who asked why not ("" when it was done)."""

    version: str | None
    why: str


# --- the member's own memory -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForgetRestart:
    """Take the scheduled restart out of memory; `why` tells the person who asked why not ("" when it is done)."""

    why: str


# --- questions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PollPeers:
    """Ask every other member for its state; the answers are in the next view.

    `skip`: members that were just asked in vain; they count as not reachable.
    """

    skip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfirmFailsafe:
    """Ask every member of the failsafe topology to accept this primary. All must; then the lease is extended from the
    moment the questions were sent."""


@dataclass(frozen=True, slots=True)
class AskLeader:
    """Read timeline and history from the leader's Postgres; the answer is in the next view."""

    upstream: Upstream


# --- Postgres, quick -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetSyncNames:
    """Put synchronous_standby_names in force."""

    wanted: SyncNames


@dataclass(frozen=True, slots=True)
class Follow:
    """Point a running replica at its upstream (None: at nobody)."""

    upstream: Upstream | None


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """Write configuration files for the view's settings and reload."""


@dataclass(frozen=True, slots=True)
class SyncSlots:
    """Drop what of `drop` is idle, make the physical slots of `want` that are missing then, and move what is idle of
    `advance` on to a position. A name in the first two is made anew."""

    want: tuple[str, ...]
    drop: tuple[str, ...] = ()
    advance: tuple[tuple[str, int], ...] = ()


# --- Postgres, long: one at a time ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """initdb, first start, users and database. Under the lease."""


@dataclass(frozen=True, slots=True)
class Clone:
    """Copy the data directory from `source` beside the present one, then swap. None: by a method that needs no
    member."""

    source: Upstream | None


@dataclass(frozen=True, slots=True)
class ArchiveWal:
    """Offer the finished WAL of a former primary to the archive, in bounded time, by the `archive_command` that its own
    server would have run. `aside`: beside everything else, while the server runs as a replica."""

    aside: bool = False


@dataclass(frozen=True, slots=True)
class Rewind:
    """Make diverged data match `source` by pg_rewind."""

    source: Upstream


@dataclass(frozen=True, slots=True)
class StartPrimary:
    """Start out of recovery, with synchronous_standby_names already set to `sync_names`. Under the lease."""

    sync_names: SyncNames = NOBODY


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Start in recovery, following `upstream` (None: nobody)."""

    upstream: Upstream | None


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop (fast, after a checkpoint) and start again in the same role."""

    as_primary: bool
    upstream: Upstream | None
    sync_names: SyncNames = NOBODY
    """As in StartPrimary."""
    within: float | None = None
    """Seconds that it may take before a leader lets somebody else lead; None: `primary_start_timeout`."""


@dataclass(frozen=True, slots=True)
class Promote:
    """Leave recovery. Under the lease."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """CHECKPOINT after a promotion, so that a former primary can be rewound."""


@dataclass(frozen=True, slots=True)
class CreateLogicalSlots:
    """Make permanent logical slots on the primary. Takes as long as the oldest open transaction."""

    slots: tuple[PermanentSlot, ...]


@dataclass(frozen=True, slots=True)
class HandOver:
    """Switchover from the leader's side: checkpoint, be quiet, stop fast, let the standbys have the last record,
    release the lock."""

    candidate: str | None
    changed_at: float
    """When an EndpointSlice changed last, apart from renewals of the lock: see `ha/quiet.py`."""
    hurried: bool = False
    """There is no time to be quiet for as long as it takes, nor for a checkpoint before the stop."""


# --- fencing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fence:
    """Kill Postgres at once and cancel any activity: this member must not be primary (rule 2)."""


@dataclass(frozen=True, slots=True)
class BreakOff:
    """Cancel an activity that has lost its purpose; the next look tells what is left to do."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill a Postgres that nobody can use, and cancel any activity; what comes next starts it again."""


@dataclass(frozen=True, slots=True)
class StopPostgres:
    """Stop in order (fast), cancelling any activity; or see to the end of a shutdown that is under way."""


Record = Acquire | Reclaim | Release | Renew | Claim | WriteSync | WriteInitialize | WriteHistory | ClearRequest
Question = PollPeers | ConfirmFailsafe | AskLeader
Quick = ForgetRestart | Promise | SetSyncNames | Follow | ApplySettings | SyncSlots
Long = (
    Bootstrap
    | Clone
    | ArchiveWal
    | Rewind
    | StartPrimary
    | StartReplica
    | Restart
    | Promote
    | Checkpoint
    | CreateLogicalSlots
    | HandOver
    | StopPostgres
)
Action = Record | Question | Quick | Long | Fence | BreakOff | Kill
LONG: tuple[type, ...] = (
    Bootstrap,
    Clone,
    ArchiveWal,
    Rewind,
    StartPrimary,
    StartReplica,
    Restart,
    Promote,
    Checkpoint,
    CreateLogicalSlots,
    HandOver,
    StopPostgres,
)


@fact(frozen=True, slots=True)
class Decision:
    """The answer to a view.

    `actions` in the order in which their effects must happen. `lead`: whether the lock is to be renewed from now on.
    `wake_in`: seconds after which to look again even if nothing happens.
    """

    actions: tuple[Action, ...]
    reason: Reason
    facts: str = ""
    lead: bool = False
    wake_in: float = 3.0
