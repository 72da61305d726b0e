"""An empty data directory: who initialises the cluster, who copies from whom, who waits.

The lock guards the initialisation: whoever holds it runs initdb under its lease, so a member that dies half-way blocks
nobody for longer than the TTL. Rule 7: a member that does not know that all others are empty waits for them, and one
that knows of data waits for whoever has it, also when that member's pod is gone: pods come back, and their volumes with
them. Who initialised meanwhile would make a second cluster, to which the data of the first one is foreign.
"""

from __future__ import annotations

from collections.abc import Iterable

from matriarch.ha.actions import Acquire, Bootstrap, Clone, Decision, PollPeers, Reclaim, Release, WriteInitialize
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.fence import is_sysid, never_used
from matriarch.ha.rules.polling import fresh_poll, until_stale
from matriarch.ha.rules.upstream import copy_source, upstream_of
from matriarch.ha.rules.waking import lock_wake
from matriarch.ha.view import View

AGAIN_S = 0.5


def bootstrap(view: View) -> Decision | None:
    """What a member without data does."""
    if view.activity is not None or not (view.postgres.data == "empty" or never_used(view)):
        return None
    if view.settings.pause:
        return Decision((), Reason.PAUSED, "no data, and paused", wake_in=view.settings.loop_wait)
    if view.lock_is_mine:
        return _as_holder(view)
    if view.lock.leader is not None:
        return _copy(view)
    if _on_record(view):
        return _without_leader(view)
    return _race(view)


def _on_record(view: View) -> bool:
    """Whether the cluster has been initialised. A lock that tells a primary's position says so even when the record of
    it has been deleted."""
    return is_sysid(view.config.initialize) or view.lock.optime is not None


def _without_leader(view: View) -> Decision:
    """Some method may need none. A failover takes seconds, and then there is a leader again: that is waited for."""
    free_for = view.now - (view.memory.unlocked_since if view.memory.unlocked_since is not None else view.now)
    if view.settings.commands.without_leader and free_for > 2 * view.settings.ttl and not view.claim_binds:
        return Decision((Clone(None),), Reason.CLONING, "nobody leads; by a method that needs nobody", wake_in=1.0)
    facts = "no data; waiting for a leader to copy from"
    if not is_sysid(view.config.initialize):
        facts += "; the lock tells a primary's position, but no initialisation is on record: to begin anew, remove it"
    return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=1.0)


def _as_holder(view: View) -> Decision:
    if _on_record(view):
        facts = "this member's data is gone; another one has to lead"
        return Decision((Release(),), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=1.0)
    if not view.holds_lease:
        if view.lock.version is None or not view.memory.data_held:
            return Decision((), Reason.WAITING_FOR_BOOTSTRAP, "the lock is not readable yet", wake_in=0.5)
        return Decision((Reclaim(view.lock.version),), Reason.RECLAIMING_LOCK, "bootstrap goes on", wake_in=0.1)
    # Written even when it reads so already: a watch that is late shows an old record, and the swap then fails.
    claim = WriteInitialize("", view.config.version)
    return Decision((claim, Bootstrap()), Reason.BOOTSTRAPPING, "first member of the cluster", True, 1.0)


def _copy(view: View) -> Decision:
    leader = view.member(view.lock.leader)
    source = upstream_of(leader)
    ready = leader is not None and leader.state == "running" and leader.role in ("primary", "standby_leader")
    if source is None or not ready or not is_sysid(view.config.initialize):
        facts = f"{view.lock.leader} is not ready to be copied"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=lock_wake(view, view.settings.loop_wait))
    source = copy_source(view, source)
    return Decision((Clone(source),), Reason.CLONING, f"from {source.member}", wake_in=1.0)


def _race(view: View) -> Decision:
    if view.me.tags.nofailover:
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, "tag nofailover", wake_in=view.settings.loop_wait)
    poll = fresh_poll(view)
    if poll is None:
        return Decision((PollPeers(),), Reason.ASKING_PEERS, "does anybody have data?", wake_in=0.0)
    with_data = [answer.name for answer in poll.answers if answer.reachable and not answer.empty]
    if with_data:
        facts = f"{', '.join(with_data)} has data and will lead"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=until_stale(view, AGAIN_S))
    if view.memory.have_data:
        facts = f"{', '.join(view.memory.have_data)} had data when last asked, and cannot be asked now"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=until_stale(view, AGAIN_S))
    if view.claim_binds:
        facts = f"{view.failsafe.leader} is primary under failsafe"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=0.5)
    silent = [answer.name for answer in poll.answers if not answer.reachable]
    holder = view.lock.deleted_from
    free_for = view.now - (view.memory.unlocked_since if view.memory.unlocked_since is not None else view.now)
    if holder not in (None, view.me.name) and free_for < 2 * view.settings.ttl:
        facts = f"the lock was deleted, and {holder} may have a lease on it"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=until_stale(view, AGAIN_S))
    if silent and (free_for < 2 * view.settings.ttl or _was_alive(view) or _shows_data(view, silent)):
        facts = f"{', '.join(silent)} has not said yet whether it has data"
        return Decision((), Reason.WAITING_FOR_BOOTSTRAP, facts, wake_in=until_stale(view, AGAIN_S))
    return Decision((Acquire(view.lock.version),), Reason.CLAIMING_BOOTSTRAP, "nobody has data", wake_in=0.0)


def _shows_data(view: View, silent: Iterable[str]) -> bool:
    """Whether the pod of somebody who is silent tells a position in the WAL."""
    return any(member.lsn is not None for member in view.members if member.name in silent)


def _was_alive(view: View) -> bool:
    """The records tell of a primary: its data is somewhere, whoever is silent now."""
    return view.lock.optime is not None or view.sync.leader is not None or bool(view.config.history)
