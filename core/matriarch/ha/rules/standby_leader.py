"""The leader of a standby cluster: it holds the lock, and instead of being primary it follows another cluster's.

It is judged by the remote's history as every replica is by its leader's (rule 5), and never out of recovery; so
it needs no lease to be safe, only the lock to be found. When the setting goes, `hold` promotes it.
"""

from __future__ import annotations

from dataclasses import replace

from matriarch.ha.actions import (
    Action,
    AskLeader,
    Clone,
    Decision,
    Follow,
    HandOver,
    Reclaim,
    Release,
    Restart,
    StartReplica,
    WriteInitialize,
)
from matriarch.ha.divergence import Verdict, judge
from matriarch.ha.postgres_view import DISK_FULL
from matriarch.ha.reasons import Reason
from matriarch.ha.rules import requests, sync
from matriarch.ha.rules.fence import is_sysid, never_used
from matriarch.ha.rules.hold import upkeep
from matriarch.ha.rules.race import reconsider
from matriarch.ha.rules.recover import diverged, hopeless, reclaim, would_fail_again
from matriarch.ha.rules.restart import wish
from matriarch.ha.rules.succession import give_way
from matriarch.ha.rules.upstream import remote_upstream
from matriarch.ha.rules.waking import upkeep_wake
from matriarch.ha.view import RemoteHistory, Upstream, View

FRESH_S = 10.0
"""Seconds for which what the remote told of itself counts; also how long no WAL may come before it is asked again."""


def standby_leader(view: View) -> Decision | None:
    """What the holder of a standby cluster's lock does."""
    if view.settings.standby_cluster is None or not view.lock_is_mine or view.activity is not None:
        return None
    remote = remote_upstream(view)
    if view.postgres.data == "empty" or never_used(view):
        return _copy(view, remote)
    if not view.holds_lease:
        return reconsider(view) or reclaim(view)
    if view.postgres.process == "stopped":
        return _start(view, remote)
    if not view.postgres.running:
        return Decision((), Reason.STARTING_REPLICA, "not yet accepting connections", lead=True, wake_in=0.2)
    if view.postgres.in_recovery is None:
        return Decision((), Reason.LEADING_STANDBY, f"Postgres does not answer: {view.postgres.last_error}", True, 1.0)
    if view.postgres.in_recovery is False:
        return _demote(view, remote)
    return _lead(view, remote)


def _copy(view: View, remote: Upstream | None) -> Decision:
    """No data: it comes from the other cluster, under the lock as an initialisation would."""
    if view.settings.pause or remote is None:
        facts = "no data, and paused" if view.settings.pause else "no data, and standby_cluster names no usable host"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, view.holds_lease, view.settings.loop_wait)
    if is_sysid(view.config.initialize) and view.peers():
        facts = "this member's data is gone; another one has to lead"
        return Decision((Release(),), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=1.0)
    if not view.holds_lease:
        if view.lock.version is None or not view.memory.data_held:
            return Decision((), Reason.WAITING_FOR_BOOTSTRAP, "the lock is not readable yet", wake_in=0.5)
        return Decision((Reclaim(view.lock.version),), Reason.RECLAIMING_LOCK, "bootstrap goes on", wake_in=0.1)
    first = () if is_sysid(view.config.initialize) else (WriteInitialize("", view.config.version),)
    return Decision((*first, Clone(remote)), Reason.CLONING, f"from {remote.member}", lead=True, wake_in=1.0)


def _start(view: View, remote: Upstream | None) -> Decision:
    if view.settings.pause and not (view.memory.own_stop or view.memory.restart):
        return Decision((Release(),), Reason.PAUSED, "Postgres is stopped, and paused", wake_in=1.0)
    control = view.postgres.control
    if control is not None and not is_sysid(view.config.initialize):
        write = WriteInitialize(control.sysid, view.config.version)
        return Decision((write,), Reason.BOOTSTRAPPING, "system identifier first", lead=True, wake_in=0.0)
    waiting = would_fail_again(view)
    if waiting is not None:
        return replace(waiting, lead=True)
    if hopeless(view) and view.settings.reclone_on_diverged and remote is not None:
        facts = f"does not start: {view.postgres.last_error}"
        return Decision((Clone(remote),), Reason.RECLONING, facts, lead=True, wake_in=1.0)
    if remote is not None and view.postgres.unproven and not _made_to_match(view, remote):
        # No server comes up on it without the remote's WAL.
        return _judge(view, remote, (), settled=False)
    # Without the remote's word it follows nobody at first: where it stands is known best once it runs.
    source = remote if remote is not None and _made_to_match(view, remote) else None
    facts = f"following {source.member}" if source is not None else "to be judged by the remote's history"
    return Decision((StartReplica(source),), Reason.STARTING_REPLICA, facts, lead=True, wake_in=0.5)


def _without_room(view: View) -> Decision | None:
    """The disk is full, and no WAL comes in any more: whoever has room, and is not behind, follows the remote in this
    member's stead. Where nobody does, the lock stays, as a primary's does; and where this server is down, which may
    have been further than anybody."""
    if not view.postgres.disk_full or view.settings.pause:
        return None
    return give_way(view, Reason.DISK_FULL, f"{DISK_FULL}: {view.postgres.last_error or 'no WAL comes in'}")


def _made_to_match(view: View, remote: Upstream) -> bool:
    return view.memory.rewound_epoch == view.lock.epoch and view.memory.rewound_from == remote.member


def _demote(view: View, remote: Upstream | None) -> Decision:
    """The section appeared: this primary becomes a standby. Its replicas get the last record at the shutdown."""
    if view.settings.pause or remote is None:
        facts = "paused" if view.settings.pause else "standby_cluster names no usable host: still primary"
        return Decision((), Reason.LEADING, facts, lead=True, wake_in=view.settings.loop_wait)
    steps: tuple[Action, ...] = (*sync.emptied(view), Restart(False, None))
    return Decision(steps, Reason.DEMOTING_CLUSTER, f"to follow {remote.member}", lead=True, wake_in=0.5)


def _lead(view: View, remote: Upstream | None) -> Decision:
    keep: tuple[Action, ...] = (*_records(view), *upkeep(view), *sync.disable(view))
    asked = wish(view)
    if asked is not None:
        restart = Restart(False, view.memory.followed, within=asked.within)
        return Decision((*keep, *asked.first, restart), Reason.RESTARTING, asked.facts, lead=True, wake_in=0.5)
    answer = _answer(view) or (_without_room(view) if view.memory.starved_since is not None else None)
    if answer is not None:
        return answer
    if remote is None:
        steps = (*keep, Follow(None)) if view.memory.followed is not None else keep
        return Decision(steps, Reason.LEADING_STANDBY, "standby_cluster names no usable host", True, 3.0)
    settled = view.memory.followed == remote and view.memory.followed_epoch == view.lock.epoch
    starved = view.memory.starved_since
    if settled and (starved is None or view.now - starved <= FRESH_S or view.settings.pause):
        wake = upkeep_wake(view, view.settings.loop_wait)
        return Decision(keep, Reason.LEADING_STANDBY, f"following {remote.member}", lead=True, wake_in=wake)
    return _judge(view, remote, keep, settled)


def _judge(view: View, remote: Upstream, keep: tuple[Action, ...], settled: bool) -> Decision:
    known = _known(view, remote)
    if known is None:
        facts = f"may this data follow {remote.member}?"
        return Decision((*keep, AskLeader(remote)), Reason.ASKING_LEADER, facts, lead=True, wake_in=1.0)
    if known.sysid != view.postgres.sysid:
        facts = f"{remote.member} has system identifier {known.sysid}, this cluster {view.postgres.sysid}"
        return Decision(keep, Reason.FOREIGN_DATA, facts, lead=True, wake_in=view.settings.loop_wait)
    verdict = judge(view.postgres, known, view.me.name, view.config.history)
    if verdict is Verdict.STREAM and view.postgres.process == "stopped":
        facts = f"following {remote.member}"
        return Decision((StartReplica(remote),), Reason.STARTING_REPLICA, facts, lead=True, wake_in=0.5)
    if verdict is Verdict.STREAM:
        steps = keep if settled else (*keep, Follow(remote))
        facts = f"waiting for WAL from {remote.member}" if settled else f"to {remote.member}"
        return Decision(steps, Reason.REPOINTING, facts, lead=True, wake_in=0.5)
    if verdict is Verdict.UNKNOWN:
        return Decision(keep, Reason.ASKING_LEADER, "own position unknown", lead=True, wake_in=0.3)
    if view.settings.pause:
        facts = f"data diverged from {remote.member}'s"
        return Decision(keep, Reason.PAUSED, facts, lead=True, wake_in=view.settings.loop_wait)
    decision = diverged(view, remote, verdict)
    return Decision(decision.actions, decision.reason, decision.facts, lead=True, wake_in=decision.wake_in)


def _known(view: View, remote: Upstream) -> RemoteHistory | None:
    """What the remote said of itself a short while ago."""
    said = view.memory.remote
    if said is None or said.member != remote.member or view.now - said.asked_at > FRESH_S:
        return None
    return said


def _records(view: View) -> tuple[Action, ...]:
    if is_sysid(view.config.initialize) or view.postgres.sysid is None:
        return ()
    return (WriteInitialize(view.postgres.sysid, view.config.version),)


def _answer(view: View) -> Decision | None:
    """A switchover needs no shutdown here: the lock is given to the candidate, which then follows the remote."""
    answer = requests.answer(view)
    if answer is None or not any(isinstance(action, HandOver) for action in answer.actions):
        return answer
    facts = f"to {view.request.candidate or 'the most advanced replica'}"
    return Decision((Release(handed_over=True),), Reason.HANDING_OVER, facts, wake_in=0.5)
