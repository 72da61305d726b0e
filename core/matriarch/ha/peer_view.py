"""What the other members said when they were asked over REST. Part of the view; see `matriarch.ha.view`."""

from __future__ import annotations

from dataclasses import dataclass

from matriarch.words.facts import fact


@fact(frozen=True, slots=True)
class PeerAnswer:
    """A peer's own word, asked for over REST. `reachable` False: no answer; everything else is then unknown."""

    name: str
    reachable: bool
    in_recovery: bool | None = None
    empty: bool = False
    running: bool = False
    timeline: int | None = None
    lsn: int | None = None
    nofailover: bool = False
    priority: int = 1
    sysid: str | None = None
    heard_age: float | None = None
    """Seconds since its WAL receiver last had a message from the primary."""
    certain: bool = False
    """Its position was looked up after the question had come, and counts all the WAL that it has."""
    promised: str | None = None
    """The lock's version on which it has promised to hear no more of the holder, its receiver being closed."""
    refused: bool = False
    """Not reachable because nobody listens at its address: its agent is gone, not merely silent."""
    handed_over: bool = False
    """It gave the lock up on purpose a moment ago, and does not want it back."""
    beside_record: bool = False
    """Its data is a branch beside the cluster's, by its own word: it will not lead."""
    unfit: str = ""
    """Why it had better not be given the lock, by its own word; empty for a fit member, and for one that tells nothing
    of that kind."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The answers to one round of questions to all peers, and when (`at`) the round ended."""

    answers: tuple[PeerAnswer, ...]
    at: float
    began: float | None = None
    """When the questions were sent."""

    def of(self, name: str) -> PeerAnswer | None:
        """One peer's answer."""
        return next((answer for answer in self.answers if answer.name == name), None)
