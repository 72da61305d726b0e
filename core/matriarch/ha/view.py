"""What a member knows at one moment: immutable facts with their ages. The only input of `decide`.

All times are seconds on the member's own monotonic clock; no timestamp written by another machine is ever compared
with it. `None` means *unknown*, which is never read as *no* (rule 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matriarch.ha.me import Me as Me
from matriarch.ha.peer_view import PeerAnswer as PeerAnswer
from matriarch.ha.peer_view import Poll as Poll
from matriarch.ha.postgres_slots import Slot as Slot
from matriarch.ha.postgres_view import ControlData as ControlData
from matriarch.ha.postgres_view import PostgresView as PostgresView
from matriarch.ha.postgres_view import Standby as Standby
from matriarch.ha.scheduled import SOON_S, ScheduledRestart
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.standby_cluster import StandbyCluster
from matriarch.ha.sync_view import Listed as Listed
from matriarch.ha.sync_view import SyncView as SyncView
from matriarch.ha.tags import Tags as Tags
from matriarch.words.facts import fact


@dataclass(frozen=True, slots=True)
class Upstream:
    """Whom a replica follows: a member and the address of its Postgres.

    `remote`: no member, but the primary of another cluster (a standby cluster follows it); `slot` is then the
    replication slot to use there, if any. Members have slots of their followers' names.
    """

    member: str
    host: str
    port: int = 5432
    remote: bool = False
    slot: str | None = None


@fact(frozen=True, slots=True)
class LockView:
    """The lock as this member sees it.

    `expired` is judged on this member's clock from when it saw the record change; `seen_at` is that moment.
    `holder` is None when the record is absent or released. `address_uid` and `address_node` say which pod the subset
    points at: they tell a restarted container from another pod of the same name.
    """

    holder: str | None = None
    version: str | None = None
    epoch: int = 0
    ttl: float = 9.0
    seen_at: float = 0.0
    expired: bool = False
    optime: int | None = None
    failsafe: Mapping[str, str] | None = None
    address_uid: str | None = None
    address_node: str | None = None
    slots: Mapping[str, int] = field(default_factory=dict)
    """From where each slot needs WAL, by the holder's word; the holder's own position under its name."""
    retained: tuple[str, ...] = ()
    """Slots that the holder keeps for members that are gone."""
    deleted_from: str | None = None
    """Who held the lock that has been deleted; None while there is one, or when this member never saw one held."""

    @property
    def leader(self) -> str | None:
        """The member that holds a lock that has not expired."""
        return None if self.expired else self.holder


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One past timeline: it ended at `lsn`, when `leader` was promoted."""

    timeline: int
    lsn: int
    reason: str = ""
    timestamp: str = ""
    leader: str = ""


@dataclass(frozen=True, slots=True)
class ConfigView:
    """The config object. `initialize`: None never initialised, "" bootstrap in progress, else the system identifier."""

    exists: bool = False
    version: str | None = None
    initialize: str | None = None
    history: tuple[HistoryEntry, ...] | None = None
    settings_seen: bool = True
    """Whether this member has ever read the cluster's settings: its present ones are defaults otherwise."""

    @property
    def timeline(self) -> int:
        """The cluster's timeline as far as its history tells; 0 when there is none."""
        if self.history is None:
            return 0
        return self.history[-1].timeline + 1 if self.history else 1


@dataclass(frozen=True, slots=True)
class Request:
    """A pending switchover (`leader` given) or failover. `scheduled_at` is UTC epoch seconds, compared with `wall`."""

    leader: str | None
    candidate: str | None
    scheduled_at: float | None
    version: str | None

    @property
    def pending(self) -> bool:
        """Whether anything is asked for at all."""
        return self.leader is not None or self.candidate is not None


@fact(frozen=True, slots=True)
class MemberView:
    """Another member (or this one), as its pod tells."""

    name: str
    api_url: str | None = None
    conn_url: str | None = None
    pod_ip: str | None = None
    pod_uid: str | None = None
    """Tells this pod from an earlier one of the same name."""
    grace_s: float | None = None
    """The pod is being deleted, and this is how long it was given to end; None while it is not."""
    state: str = "unknown"
    role: str = "unknown"
    timeline: int | None = None
    lsn: int | None = None
    tags: Tags = field(default_factory=Tags)
    streaming: bool = False
    """It is a replica and streams, by its own word."""
    checkpoint_after_promote: bool = True
    capabilities: tuple[str, ...] = ()
    """Protocol extensions that its agent speaks; none for a Patroni member."""


@dataclass(frozen=True, slots=True)
class RemoteHistory:
    """The leader's timeline and its past, asked of the leader's Postgres at lock `epoch`.

    `switches` maps each past timeline to the LSN where it was left.
    """

    member: str
    epoch: int
    sysid: str
    timeline: int
    switches: Mapping[int, int]
    in_recovery: bool
    asked_at: float = 0.0
    oldest: int | None = None
    """Where the oldest WAL begins that it still has; None when it did not tell."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The one long activity under way."""

    name: str
    since: float
    within: float | None = None
    """Seconds that a person gave it."""


@dataclass(frozen=True, slots=True)
class Failsafe:
    """Failsafe mode, seen from both sides.

    A primary: `confirmed_at` is when the question was sent to which every member agreed. A replica: `leader` claimed
    to be primary at `heard_at`.
    """

    confirmed_at: float | None = None
    leader: str | None = None
    leader_url: str | None = None
    leader_conn: str | None = None
    heard_at: float | None = None
    slots: Mapping[str, int] = field(default_factory=dict)
    """The slots' positions that came with the claim."""
    ttl: float = 0.0
    """For how long the claim asked."""


@fact(frozen=True, slots=True)
class PrimarySeen:
    """This member's own Postgres when it was last seen as a primary: how far it was, and who streamed from it."""

    lsn: int
    standbys: tuple[Standby, ...]


@fact(frozen=True, slots=True)
class Memory:
    """What the member remembers of its own doings."""

    started_at: float = 0.0
    unlocked_since: float | None = None
    """When this member first saw the lock free, in this run of it being free."""
    have_data: tuple[str, ...] = ()
    """The others that have data by their own last word, whether they can be asked now or not."""
    remote: RemoteHistory | None = None
    rewind_failed: bool = False
    clones_failed: int = 0
    """Base backups that failed in a row."""
    clone_complaint: str = ""
    """Why the last one failed."""
    rewound_epoch: int | None = None
    """The lock epoch whose leader the data was made to match (by rewind or clone)."""
    rewound_from: str | None = None
    """That leader."""
    followed: Upstream | None = None
    """Whom the running replica was last pointed at, and at which epoch; forgotten when Postgres ends."""
    followed_epoch: int | None = None
    followed_into: StandbyCluster | None = None
    """The other cluster that this one was a standby of when it was pointed there."""
    starved_since: float | None = None
    """Since when this replica, pointed at somebody, has had no WAL stream; None while it streams."""
    sync_written: str | None = None
    """The version that this process's last write of the sync object made. None: one may be under way whose outcome
    nobody knows, before the first answered one, and after one without an answer."""
    leader_heard_at: float | None = None
    """When the leader last gave a sign of life, by WAL stream or by REST; None before the first."""
    leader_refused_since: float | None = None
    """Since when nobody has listened at the leader's REST address; None while somebody does, or nothing answers."""
    capable_pod: str | None = None
    """The pod (by uid) that took the lock and told, while it was there, that it speaks the takeover protocol."""
    promised: str | None = None
    """The lock's version on which this member promised to hear no more of its holder; void once the lock moved on."""
    promise_sealed_at: float | None = None
    """When the WAL receiver was seen to be closed for good after that: others may count on the promise, and on a
    position that was looked up since."""
    refused_version: str | None = None
    """The version, of the lock or of the sync object, on which this member's last take or claim was refused."""
    refused_at: float = -1e9
    """When that was."""
    counted: Listed | None = None
    """What the sync object said when this member took a silent leader's lock; None after a race for a free one."""
    first_lock_version: str | None = None
    """The lock's version when this agent first saw it: an earlier process of it may have promised on that one."""
    terminating: bool = False
    """SIGTERM was received: hand over, then stop."""
    reinitialize: bool = False
    """A person asked for a new copy of the data."""
    reinitialize_from_leader: bool = False
    """And for one from nobody but the leader."""
    restart: bool = False
    """A person asked for a restart."""
    restart_within: float | None = None
    """How long that may take, in seconds."""
    scheduled_restart: ScheduledRestart | None = None
    """A person asked for a restart at a time."""
    leaving_since: float | None = None
    """Since when this replica tells the primary that it is about to stop, so that commits wait for somebody else."""
    own_stop: bool = False
    """Postgres is down, if it is, by no person's hand: this agent or the leash ended it for a reason that may pass, or
    the container has just started. A pause does not keep it down then."""
    reload: bool = False
    """A person asked for the configuration to be written and loaded again."""
    lock_moved_at: float = -1e9
    """When this member saw the lock go from one member to another."""
    last_label_change: float = -1e9
    request_seen_at: float | None = None
    """When this leader first saw the pending request."""
    handovers_kept: int = 0
    """How many handovers in a row kept the lock, since no replica had the last record."""
    handover_done_at: float | None = None
    """When this member last released the lock on purpose."""
    data_held: bool = True
    """init holds the exclusive lock on the volume: no other Postgres can be running on it."""
    checkpointed: bool = True
    """The checkpoint after the promotion is done."""
    primary_seen: PrimarySeen | None = None
    """None: not since this agent started."""
    replay_rate: float | None = None
    """Bytes of WAL a second that a crash recovery here got through; None before one that says something."""
    archive_tried_at: float | None = None
    """When the WAL of this member's time as primary was last offered to the archive."""
    archive_complaint: str = ""
    """Why the archive did not take all of it then."""
    start_failed_at: float | None = None
    """When Postgres last failed to start here, or ended with the disk full."""
    full_deaths: int = 0
    """How often Postgres has ended here since the disk is full."""
    killed_unusable_at: float | None = None
    """When this member last killed its Postgres because nobody could use it."""
    slots_missing_since: Mapping[str, float] = field(default_factory=dict)
    """Since when nobody has accounted for a slot that is here."""
    logical_slots_not_before: float = -1e9
    """After a failure: when to try again to make logical slots."""
    slots_of_predecessor: tuple[str, ...] = ()
    """The slots that the lock named when this member was promoted."""


@fact(frozen=True, slots=True)
class View:
    """Everything that a decision may depend on."""

    now: float
    wall: float
    """UTC epoch seconds; used for schedules only, never for leases."""
    me: Me
    settings: ClusterSettings
    lock: LockView
    config: ConfigView
    sync: SyncView
    request: Request
    members: tuple[MemberView, ...]
    postgres: PostgresView
    lease_until: float | None
    """End of this member's lease; None when it has none."""
    api_ok: bool
    """The API server answered within the last `retry_timeout`."""
    activity: Activity | None
    poll: Poll | None
    failsafe: Failsafe
    memory: Memory
    listed: bool = True
    """The first listings have arrived: before, an absent record proves nothing (rule 7)."""

    @property
    def holds_lease(self) -> bool:
        """Whether this member may be primary now."""
        return self.lease_until is not None and self.now < self.lease_until

    @property
    def lock_is_mine(self) -> bool:
        """Whether the lock names this member, expired or not."""
        return self.lock.holder == self.me.name

    @property
    def due_request(self) -> Request:
        """The pending request, empty while its time has not come: until then it says nothing about who is to lead."""
        at = self.request.scheduled_at
        if at is None or (at - self.wall <= SOON_S and not self.settings.pause):
            return self.request
        return Request(None, None, None, self.request.version)

    @property
    def asked_for(self) -> bool:
        """A person asked for this member to lead, and the time for it has come."""
        return self.due_request.pending and self.due_request.candidate == self.me.name

    @property
    def claim_binds(self) -> bool:
        """This member agreed to another's failsafe claim, and its word still counts: for the TTL, unless the lock was
        renewed or released after it, which then says more; that somebody deleted it says nothing. The claimant's TTL
        counts where it is greater: one of the two may not have heard of a change yet."""
        heard, ttl = self.failsafe.heard_at, max(self.settings.ttl, self.failsafe.ttl)
        if heard is None or self.now >= heard + ttl:
            return False
        return self.lock.version is None or self.lock.seen_at <= heard

    @property
    def promise_binds(self) -> bool:
        """This member promised to take nothing more from the lock's holder, and the lock has not moved since."""
        return self.memory.promised is not None and self.memory.promised == self.lock.version

    @property
    def just_handed_over(self) -> bool:
        """This member gave the lock up on purpose, so that somebody else may have it first: for the TTL."""
        done = self.memory.handover_done_at
        return done is not None and self.now - done < self.settings.ttl

    @property
    def promise_kept(self) -> str | None:
        """The version of the promise that others may count on, together with this view's position: given, binding, and
        the receiver closed before the position was looked up."""
        sealed = self.memory.promise_sealed_at
        looked_up = sealed is not None and self.postgres.observed_at >= sealed and not self.postgres.streaming
        return self.lock.version if self.promise_binds and looked_up else None

    @property
    def may_have_promised(self) -> bool:
        """A former process of this agent may have promised on the present version, with a quorum counting on it: the
        holder must not be followed before the lock has moved."""
        if self.sync.quorum == 0 or self.me.name not in self.sync.standbys or self.memory.followed is not None:
            return False
        same = self.lock.version is not None and self.memory.first_lock_version == self.lock.version
        return same and not self.postgres.streaming

    def member(self, name: str | None) -> MemberView | None:
        """A member by name."""
        for member in self.members:
            if member.name == name:
                return member
        return None

    def peers(self) -> tuple[MemberView, ...]:
        """All members but this one."""
        mine = self.me.name
        return tuple([member for member in self.members if member.name != mine])
