"""There is data, and Postgres is not running."""

from __future__ import annotations

from dataclasses import replace

from matriarch.ha.actions import (
    AskLeader,
    Clone,
    Decision,
    Reclaim,
    Release,
    Rewind,
    StartPrimary,
    StartReplica,
    WriteInitialize,
)
from matriarch.ha.divergence import Verdict, judge
from matriarch.ha.postgres_view import DISK_FULL
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.crash import give_way_after_crash
from matriarch.ha.rules.early_take import releases, taken_early
from matriarch.ha.rules.fence import is_sysid
from matriarch.ha.rules.race import SETTINGS_LOST, settings_lost, unlisted
from matriarch.ha.rules.succession import give_way
from matriarch.ha.rules.sync import certain, start_primary
from matriarch.ha.rules.upstream import copy_source, leader_upstream, waits_for_leader
from matriarch.ha.view import RemoteHistory, Upstream, View

FAILURES_BEFORE_RELEASE = 2
"""Failed starts of a leader before it lets another member lead."""
UNRECORDED_S = 0.5
"""Seconds between looks whether the leader's timeline is on record; the record's change wakes before."""
FAILURES_BEFORE_RECLONE = 5
"""Starts of a replica that failed over its data before that is copied anew. Who never came so far has a bad parameter,
or too little memory, and a copy would fare no better."""
RETRY_FULL_S = 10.0
"""Seconds between two starts on a full disk, or of a server that fails again and again before it turns to its data."""


def recover(view: View) -> Decision | None:
    """Start what is down, in the right role and only with data that may be used."""
    if view.postgres.data != "present" or view.postgres.process != "stopped" or view.activity is not None:
        return None
    if view.settings.pause and not (view.memory.own_stop or view.memory.restart):
        return _paused(view)
    if view.lock_is_mine:
        return _as_holder(view)
    if view.lock.leader is None:
        facts = "the lock is free; starting so that this member can race"
        return Decision((StartReplica(None),), Reason.STARTING_REPLICA, facts, wake_in=0.5)
    return _as_replica(view)


def _paused(view: View) -> Decision:
    if view.lock_is_mine:
        return Decision((Release(),), Reason.PAUSED, "Postgres is stopped, and paused", wake_in=1.0)
    return Decision((), Reason.PAUSED, "Postgres is stopped, and paused", wake_in=view.settings.loop_wait)


def _as_holder(view: View) -> Decision:
    if settings_lost(view):
        steps = (Release(),) if view.holds_lease else ()
        return Decision(steps, Reason.NOT_ELIGIBLE, SETTINGS_LOST, wake_in=1.0)
    if (view.postgres.failures or view.memory.full_deaths > 1) and view.postgres.disk_full and view.holds_lease:
        return _without_room(view)
    if view.postgres.failures >= FAILURES_BEFORE_RELEASE and view.peers():
        facts = f"Postgres does not start: {view.postgres.last_error}"
        return Decision((Release(),), Reason.START_FAILED, facts, wake_in=view.settings.loop_wait)
    start = _start_as_holder(view)
    if view.holds_lease:
        recovers = any(isinstance(action, StartPrimary) for action in start.actions)
        return (give_way_after_crash(view) if recovers else None) or start
    if taken_early(view) and releases(start):
        return start
    claim = reclaim(view)
    # One decision for the whole way back: each step is taken only when the one before it succeeded.
    goes_on = claim.actions and any(isinstance(action, StartPrimary | StartReplica) for action in start.actions)
    return replace(claim, actions=(*claim.actions, *start.actions)) if goes_on else claim


def _without_room(view: View) -> Decision:
    """Postgres does not start, or not for long, and the disk is full: whoever has room takes over. Where nobody has,
    the lock stays, since a failover from one full disk to another helps nobody, and a start is tried now and then."""
    facts = f"{DISK_FULL}: {view.postgres.last_error}"
    given = give_way(view, Reason.DISK_FULL, facts)
    if given is not None:
        return given
    if _just_failed(view):
        return Decision((), Reason.DISK_FULL, f"{facts}; nobody who may lead has room", lead=True, wake_in=1.0)
    return _start_as_holder(view)


def _just_failed(view: View) -> bool:
    failed = view.memory.start_failed_at
    return failed is not None and view.now - failed < RETRY_FULL_S


def _start_as_holder(view: View) -> Decision:
    control = view.postgres.control
    if control is None and view.peers():
        facts = "no control data: another member has to lead"
        return Decision((Release(),), Reason.DATA_UNREADABLE, facts, wake_in=view.settings.loop_wait)
    if control is None:
        return Decision((), Reason.DATA_UNREADABLE, "no control data", lead=True, wake_in=0.5)
    if not is_sysid(view.config.initialize):
        # On record before the first commit can be acknowledged: nobody may initialise a second cluster after that.
        write = WriteInitialize(control.sysid, view.config.version)
        return Decision((write,), Reason.BOOTSTRAPPING, "system identifier first", lead=True, wake_in=0.0)
    why = unlisted(view)
    if why is not None:
        facts = f"holds the lock, but was {why}"
        return Decision((Release(),), Reason.NOT_ELIGIBLE, facts, wake_in=0.5)
    if not control.was_primary:
        return Decision((StartReplica(None),), Reason.STARTING_REPLICA, "to be promoted", True, 0.2)
    facts = "crash recovery first" if not control.clean else "clean data"
    return Decision((*certain(view), start_primary(view)), Reason.STARTING_PRIMARY, facts, lead=True, wake_in=0.5)


def reclaim(view: View) -> Decision:
    """The lock names this member, but an earlier process of it took it.

    Nobody has taken the lock since (the compare-and-swap proves it), and init holds the volume exclusively, so no
    other Postgres runs on this data. A pod of the same name on another node proves nothing of that kind until the
    old lease is over: then the TTL is waited out.
    """
    lock = view.lock
    same_place = lock.address_uid in (None, view.me.pod_uid) or lock.address_node in (None, view.me.node)
    if not view.memory.data_held or not (same_place or lock.expired) or lock.version is None:
        return Decision((), Reason.RECLAIMING_LOCK, "waiting for the earlier pod's lease to end", wake_in=0.5)
    return Decision((Reclaim(lock.version),), Reason.RECLAIMING_LOCK, "this member held it before", wake_in=0.0)


def _as_replica(view: View) -> Decision:
    waiting = would_fail_again(view)
    if waiting is not None:
        return waiting
    source = leader_upstream(view)
    if source is None:
        return Decision((), Reason.ASKING_LEADER, f"{view.lock.leader} has no address yet", wake_in=0.5)
    if view.sync.quorum > 0 and (view.promise_binds or view.may_have_promised):
        facts = f"may have promised to hear no more of {source.member} until the lock moves"
        return Decision((StartReplica(None),), Reason.STARTING_REPLICA, facts, wake_in=0.3)
    if hopeless(view) and _may_reclone(view):
        facts = f"does not start: {view.postgres.last_error}"
        return Decision((Clone(copy_source(view, source)),), Reason.RECLONING, facts, wake_in=1.0)
    if waits_for_leader(view):
        facts = f"{source.member} does not follow the other cluster yet"
        return Decision((StartReplica(None),), Reason.STARTING_REPLICA, facts, wake_in=0.5)
    if view.memory.rewound_epoch == view.lock.epoch and view.memory.rewound_from == source.member:
        return Decision((StartReplica(source),), Reason.STARTING_REPLICA, f"following {source.member}", wake_in=0.5)
    remote = known_remote(view, source)
    if remote is None:
        return Decision((AskLeader(source),), Reason.ASKING_LEADER, f"may my data follow {source.member}?", wake_in=0.3)
    why = unrecorded(view, remote)
    if why is not None:
        return Decision((), Reason.ASKING_LEADER, why, wake_in=UNRECORDED_S)
    verdict = judge(view.postgres, remote, view.me.name, view.config.history)
    if verdict is Verdict.STREAM:
        return Decision((StartReplica(source),), Reason.STARTING_REPLICA, f"following {source.member}", wake_in=0.5)
    if verdict is Verdict.UNKNOWN:
        facts = "position is known only once it runs"
        return Decision((StartReplica(None),), Reason.STARTING_REPLICA, facts, wake_in=0.2)
    if view.settings.pause:
        return Decision((), Reason.PAUSED, f"data diverged from {source.member}'s", wake_in=view.settings.loop_wait)
    return diverged(view, source, verdict)


def would_fail_again(view: View) -> Decision | None:
    """After a start that failed for something that no copy mends: it is tried again now and then."""
    if not _just_failed(view):
        return None
    if view.postgres.disk_full:
        return Decision((), Reason.DISK_FULL, f"{DISK_FULL}: {view.postgres.last_error}", wake_in=1.0)
    if view.postgres.failures - _failures_over_data(view) >= FAILURES_BEFORE_RECLONE:
        return Decision((), Reason.START_FAILED, view.postgres.last_error, wake_in=1.0)
    return None


def hopeless(view: View) -> bool:
    """Whether only a copy could bring Postgres up again, as far as its starts tell."""
    return _failures_over_data(view) >= FAILURES_BEFORE_RECLONE and not view.postgres.disk_full


def _failures_over_data(view: View) -> int:
    """A control file that cannot be read is looked at before everything else, and is data."""
    return view.postgres.failures if view.postgres.control is None else view.postgres.data_failures


def _may_reclone(view: View) -> bool:
    return view.settings.reclone_on_diverged and not view.settings.pause


def known_remote(view: View, source: Upstream) -> RemoteHistory | None:
    """What the leader said of its history in this epoch, once it is out of recovery; a standby cluster's never is."""
    remote = view.memory.remote
    if remote is None or remote.member != source.member or remote.epoch != view.lock.epoch:
        return None
    if remote.in_recovery and view.settings.standby_cluster is None:
        return None
    return remote


def unrecorded(view: View, remote: RemoteHistory) -> str | None:
    """Why a leader's history is no ground to follow it on yet: its timeline has to be on record. Until then another
    member could be promoted to the same number in ignorance of it, and nobody could tell the two apart afterwards."""
    if view.settings.standby_cluster is not None or remote.timeline <= max(1, view.config.timeline):
        return None
    return f"timeline {remote.timeline} of {remote.member} is not on record yet"


def diverged(view: View, source: Upstream, verdict: Verdict) -> Decision:
    """Rewind where that can work, else copy anew where that is allowed, else wait for a person (rule 5)."""
    can_rewind = verdict is Verdict.REWIND and view.settings.use_pg_rewind and not view.memory.rewind_failed
    if can_rewind:
        return Decision((Rewind(source),), Reason.REWINDING, f"data diverged from {source.member}'s", wake_in=1.0)
    after_failure = view.settings.reclone_on_rewind_failure and view.memory.rewind_failed
    if view.settings.reclone_on_diverged or after_failure:
        facts = f"data diverged from {source.member}'s and cannot be rewound"
        return Decision((Clone(copy_source(view, source)),), Reason.RECLONING, facts, wake_in=1.0)
    facts = f"data diverged from {source.member}'s: reinitialize this member"
    return Decision((), Reason.DIVERGED, facts, wake_in=view.settings.loop_wait)
