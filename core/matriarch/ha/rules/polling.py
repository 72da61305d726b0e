"""When the peers' answers are fresh enough to act on."""

from __future__ import annotations

from matriarch.ha.view import Poll, View

FRESH_S = 2.0
"""Seconds for which a round of answers counts."""


def fresh_poll(view: View) -> Poll | None:
    """The last round of answers, when it is young and every present peer was asked in it."""
    poll = view.poll
    if poll is None or view.now - poll.at > FRESH_S:
        return None
    asked = {answer.name for answer in poll.answers}
    return poll if all(member.name in asked for member in view.peers()) else None


def known_to_have_data(before: tuple[str, ...], poll: Poll) -> tuple[str, ...]:
    """Who has data, by the last word that each member itself has given: those `before` and what a round of answers
    tells. A member that is silent, or whose pod is gone, has taken nothing back."""
    told = {answer.name: not answer.empty for answer in poll.answers if answer.reachable}
    still = {name for name in before if told.get(name, True)}
    return tuple(sorted(still | {name for name, has in told.items() if has}))


def until_stale(view: View, least: float) -> float:
    """Seconds until the last round of answers counts no more, at least `least`: what follows from it cannot change
    sooner, unless a record does."""
    return least if view.poll is None else max(least, view.poll.at + FRESH_S - view.now)
