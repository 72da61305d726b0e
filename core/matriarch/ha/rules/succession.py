"""Giving the lock to a replica when this member's own Postgres is down or of no use: to whom, and whether anybody can.

Nobody stops a primary that works for this; see rules/requests.py for that.
"""

from __future__ import annotations

from matriarch.ha.actions import Action, Decision, PollPeers, Release
from matriarch.ha.reasons import Reason
from matriarch.ha.rules.polling import fresh_poll
from matriarch.ha.rules.race import sync_active
from matriarch.ha.view import MemberView, PeerAnswer, PrimarySeen, View


def give_way(view: View, reason: Reason, facts: str, first: tuple[Action, ...] = ()) -> Decision | None:
    """Release the lock to the best replica, after `first`; None when there is none, or when nothing is known.

    A replica is good when it streamed at the last look at the primary and answers now; in synchronous mode it is
    listed, so that it has every acknowledged commit (rule 3), in asynchronous mode it is not farther behind than a
    failover may lose (rule 4).
    """
    seen = view.memory.primary_seen
    able = {member.name for member in view.peers() if seen is not None and _able(view, member, seen)}
    if seen is None or not able:
        return None
    poll = fresh_poll(view)
    if poll is None:
        others = tuple(member.name for member in view.peers() if member.name not in able)
        return Decision((PollPeers(skip=others),), Reason.ASKING_PEERS, f"{facts}; who can take over?", True, 0.0)
    fit = [answer for answer in poll.answers if answer.name in able and _fit(view, answer, seen)]
    if not fit:
        return None
    best = max(fit, key=lambda answer: (answer.lsn or 0, answer.priority, answer.name))
    steps = (*first, Release(handed_over=True, successor=best.name))
    return Decision(steps, reason, f"{facts}; {best.name} takes over", wake_in=0.5)


def _able(view: View, member: MemberView, seen: PrimarySeen) -> bool:
    streamed = any(row.name == member.name and row.state == "streaming" for row in seen.standbys)
    allowed = not member.tags.nofailover and member.tags.failover_priority > 0
    listed = not sync_active(view) or (view.sync.leader == view.me.name and view.sync.lists(member.name))
    return streamed and allowed and listed


def _fit(view: View, answer: PeerAnswer, seen: PrimarySeen) -> bool:
    if not (answer.reachable and answer.running and answer.in_recovery) or answer.nofailover or answer.lsn is None:
        return False
    return sync_active(view) or seen.lsn - answer.lsn <= view.settings.maximum_lag_on_failover
