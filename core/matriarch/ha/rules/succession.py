"""Giving the lock to a replica when this member's own Postgres is down or of no use: to whom, and whether anybody can.

Nobody stops a primary that works for this; see rules/requests.py for that.
"""

from __future__ import annotations

from matriarch.ha.actions import Action, Decision, PollPeers, Release
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.polling import fresh_poll
from matriarch.ha.rules.race import sync_active
from matriarch.ha.view import MemberView, PeerAnswer, View


def give_way(view: View, reason: Reason, facts: str, first: tuple[Action, ...] = ()) -> Decision | None:
    """Release the lock to the best replica, after `first`; None when there is none, or when nothing is known.

    A replica is good when it streamed at the last look at the primary, answers now, and knows of nothing that speaks
    against it; in synchronous mode it is listed, so that it has every acknowledged commit (rule 3), in asynchronous
    mode it is not farther behind than a failover may lose (rule 4). An agent that never saw its primary run goes by
    the sync object, or by the position in the lock.
    """
    able = {member.name for member in view.peers() if _able(view, member)}
    if not able or (_last_position(view) is None and not sync_active(view)):
        return None
    poll = fresh_poll(view)
    if poll is None:
        others = tuple(member.name for member in view.peers() if member.name not in able)
        return Decision((PollPeers(skip=others),), Reason.ASKING_PEERS, f"{facts}; who can take over?", True, 0.0)
    fit = [answer for answer in poll.answers if answer.name in able and _fit(view, answer)]
    # In quorum mode only so many together are known to have every commit.
    if len(fit) < 1 + (view.sync.quorum if sync_active(view) else 0):
        return None
    best = max(fit, key=lambda answer: (answer.lsn or 0, answer.priority, answer.name))
    steps = (*first, Release(handed_over=True, successor=best.name))
    return Decision(steps, reason, f"{facts}; {best.name} takes over", wake_in=0.5)


def _able(view: View, member: MemberView) -> bool:
    # Who streamed from a primary says nothing once the cluster follows another one.
    seen = view.memory.primary_seen if view.settings.standby_cluster is None else None
    streamed = seen is None or any(row.name == member.name and row.state == "streaming" for row in seen.standbys)
    listed = not sync_active(view) or (view.sync.leader == view.me.name and view.sync.lists(member.name))
    return streamed and member.tags.may_lead and listed


def _last_position(view: View) -> int | None:
    known = (view.memory.primary_seen.lsn if view.memory.primary_seen is not None else None, view.lock.optime)
    return max((lsn for lsn in known if lsn is not None), default=None)


def _fit(view: View, answer: PeerAnswer) -> bool:
    if not (answer.reachable and answer.running and answer.in_recovery) or answer.nofailover or answer.lsn is None:
        return False
    if view.postgres.running and view.postgres.in_recovery and answer.lsn < (view.postgres.lsn or 0):
        # A server that runs in recovery keeps those behind it from leading by its own word: they catch up first.
        return False
    lag = (_last_position(view) or 0) - answer.lsn
    return not answer.unfit and (sync_active(view) or lag <= view.settings.maximum_lag_on_failover)
