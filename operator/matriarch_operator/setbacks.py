"""Actions that failed and have to be tried again: each rests for a while of its own, and holds up no other.

Not the whole cluster: a StorageClass that never lets volumes grow, or a member that nobody may ask for a restart, must
not slow down what is done and told about a failover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matriarch.fleet.actions import Action, described
from matriarch.words.errors import ConflictError, MatriarchError
from matriarch_operator.queue import backoff_s
from matriarch_operator.store import ClusterKey


@dataclass(frozen=True, slots=True)
class Setback:
    """What an action met. `until` is on the clock of the operator's loop."""

    action: Action
    error: MatriarchError
    times: int
    until: float

    @property
    def sentence(self) -> str:
        """For a person; empty while it may be a passing thing: a conflict is one until it comes again."""
        if isinstance(self.error, ConflictError) and self.times < 2:
            return ""
        return f"{described(self.action)}: {first_line(self.error)}"


def first_line(error: Exception) -> str:
    """What a person needs of an error."""
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__


class Setbacks:
    """`clock` gives seconds, `chance` a number in [0, 1) by which the times of rest are scattered."""

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self._met: dict[ClusterKey, dict[str, Setback]] = {}

    def met(self, key: ClusterKey, action: Action, error: MatriarchError) -> None:
        """The action failed. It rests for longer each time."""
        before = self._met.get(key, {}).get(described(action))
        times = before.times if before is not None else 0
        until = self._clock() + backoff_s(times, self._chance())
        self._met.setdefault(key, {})[described(action)] = Setback(action, error, times + 1, until)

    def resting(self, key: ClusterKey, action: Action) -> bool:
        """Whether it is too early to try this again, as it is or with another content."""
        before = self._met.get(key, {}).get(described(action))
        return before is not None and self._clock() < before.until

    def over(self, key: ClusterKey, action: Action) -> None:
        """The action was carried out."""
        self._met.get(key, {}).pop(described(action), None)

    def keep(self, key: ClusterKey, actions: Iterable[Action]) -> None:
        """Forgets what is not wanted any more."""
        wanted = {described(action) for action in actions}
        self._met[key] = {name: one for name, one in self._met.get(key, {}).items() if name in wanted}
        if not self._met[key]:
            del self._met[key]

    def forget(self, key: ClusterKey) -> None:
        """Everything may be tried at once: a person has changed something, or the cluster is gone."""
        self._met.pop(key, None)

    def sentences(self, key: ClusterKey) -> tuple[str, ...]:
        """What a person has to know of."""
        return tuple(one.sentence for one in self._met.get(key, {}).values() if one.sentence)

    def next_s(self, key: ClusterKey) -> float | None:
        """Seconds until the first of them may be tried again; None when nothing rests."""
        rests = [one.until - self._clock() for one in self._met.get(key, {}).values()]
        return max(0.0, min(rests)) if rests else None
