"""Another member leads, and this one runs as a replica."""

from __future__ import annotations

from matriarch.ha.actions import Action, ApplySettings, AskLeader, Decision, Follow, Restart
from matriarch.ha.divergence import Verdict, judge
from matriarch.ha.reasons import Reason
from matriarch.ha.rules import slots
from matriarch.ha.rules.race import poll_ahead
from matriarch.ha.rules.recover import UNRECORDED_S, diverged, known_remote, unrecorded
from matriarch.ha.rules.restart import dropped, wish
from matriarch.ha.rules.sync import relied_on
from matriarch.ha.rules.takeover import next_look, watches_closely
from matriarch.ha.rules.upstream import leader_pod_gone, leader_upstream, stream_source, waits_for_leader
from matriarch.ha.rules.waking import lock_wake
from matriarch.ha.view import Upstream, View

STARVED_S = 10.0
"""Seconds without a WAL stream after which a replica doubts whether its data can follow the leader at all."""


def follow(view: View) -> Decision | None:
    """Stream from the leader; check first that the data may (rule 5)."""
    if view.activity is not None or not view.postgres.running or view.postgres.in_recovery is not True:
        return None
    if view.lock.leader is None or view.lock_is_mine:
        return None
    if view.postgres.streaming and leader_pod_gone(view):
        # A new pod of its name may be there, but who leads, and has the last records, is the old one.
        facts = f"{view.lock.leader}, whose pod is deleted and whose WAL still comes"
        return Decision((*_upkeep(view), *poll_ahead(view)), Reason.FOLLOWING, facts, wake_in=_wake(view))
    source = leader_upstream(view)
    if source is None:
        facts = f"{view.lock.leader} has no address yet"
        return Decision(poll_ahead(view), Reason.ASKING_LEADER, facts, wake_in=0.5)
    if view.promise_binds or view.may_have_promised:
        facts = f"promised to hear no more of {source.member} until the lock moves"
        return Decision(poll_ahead(view), Reason.TAKING_OVER, facts, wake_in=0.3)
    joins = view.settings.standby_cluster is not None and view.memory.followed_into != view.settings.standby_cluster
    if joins and view.memory.followed is not None:
        return Decision((Follow(None),), Reason.REPOINTING, "the cluster becomes a standby cluster", wake_in=0.1)
    if view.memory.followed != stream_source(view, source) or view.memory.followed_epoch != view.lock.epoch:
        return _repoint(view, source)
    starved = view.memory.starved_since
    if starved is not None and view.now - starved > STARVED_S and not view.settings.pause:
        return _starved(view, source)
    if view.postgres.replay_paused and view.postgres.pending_restart and not view.settings.pause:
        facts = f"replay waits for greater {', '.join(sorted(view.postgres.pending_restart))}"
        return Decision((Restart(False, source),), Reason.RESTARTING, facts, wake_in=1.0)
    asked = wish(view)
    if asked is not None and relied_on(view):
        return Decision((), Reason.RESTARTING, "commits still wait for this standby", wake_in=0.1)
    if asked is not None:
        restart = Restart(False, source, within=asked.within)
        return Decision((*asked.first, restart), Reason.RESTARTING, asked.facts, wake_in=1.0)
    followed = view.memory.followed.member
    return Decision((*_upkeep(view), *poll_ahead(view)), Reason.FOLLOWING, followed, wake_in=_wake(view))


def _starved(view: View, source: Upstream) -> Decision:
    """Pointed at the leader for long, and nothing comes: may this data still follow it?"""
    remote = known_remote(view, source)
    if remote is None or view.now - remote.asked_at > STARVED_S:
        facts = f"no WAL from {source.member} for {STARVED_S:.0f} s"
        return Decision((AskLeader(source), *poll_ahead(view)), Reason.ASKING_LEADER, facts, wake_in=1.0)
    verdict = judge(view.postgres, remote, view.me.name, view.config.history)
    if verdict in (Verdict.REWIND, Verdict.RECLONE):
        return diverged(view, source, verdict)
    facts = f"waiting for WAL from {source.member}"
    return Decision((*_upkeep(view), *poll_ahead(view)), Reason.FOLLOWING, facts, wake_in=_wake(view))


def _repoint(view: View, source: Upstream) -> Decision:
    if view.memory.followed is None and waits_for_leader(view):
        facts = f"{source.member} does not follow the other cluster yet"
        return Decision(poll_ahead(view), Reason.ASKING_LEADER, facts, wake_in=0.5)
    remote = known_remote(view, source)
    if remote is None:
        facts = f"is {source.member} out of recovery, and may this data follow it?"
        return Decision((AskLeader(source), *poll_ahead(view)), Reason.ASKING_LEADER, facts, wake_in=0.2)
    why = unrecorded(view, remote)
    if why is not None:
        return Decision(poll_ahead(view), Reason.ASKING_LEADER, why, wake_in=UNRECORDED_S)
    verdict = judge(view.postgres, remote, view.me.name, view.config.history)
    if verdict is Verdict.STREAM:
        target = stream_source(view, source)
        return Decision((Follow(target),), Reason.REPOINTING, f"to {target.member}", wake_in=0.5)
    if verdict is Verdict.UNKNOWN:
        return Decision((), Reason.ASKING_LEADER, "own position unknown", wake_in=0.3)
    if view.settings.pause:
        return Decision((), Reason.PAUSED, f"data diverged from {source.member}'s", wake_in=view.settings.loop_wait)
    return diverged(view, source, verdict)


def _upkeep(view: View) -> tuple[Action, ...]:
    steps: list[Action] = [*dropped(view)]
    if view.postgres.applied != view.settings or view.memory.reload:
        steps.append(ApplySettings())
    return (*steps, *slots.keep(view))


def _wake(view: View) -> float:
    wait = view.settings.loop_wait
    return lock_wake(view, min(next_look(view), wait) if watches_closely(view) else wait)
