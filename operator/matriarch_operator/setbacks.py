"""Actions that failed and have to be tried again: each rests for a while of its own, and holds up no other.

Not the whole cluster: a StorageClass that never lets volumes grow, or a member that nobody may ask for a restart, must
not slow down what is done and told about a failover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matriarch.fleet.actions import Action, Patch, Restart, described
from matriarch.words.errors import ConflictError, MatriarchError, TransientError
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
        """For a person; empty while it may be a passing thing: a conflict is one until it comes again, and so is an API
        server that gives no answer."""
        passing = (ConflictError,) if isinstance(self.action, Restart) else (ConflictError, TransientError)
        if isinstance(self.error, passing) and self.times < 2:
            return ""
        return f"{described(self.action)}: {first_line(self.error)}"


def first_line(error: Exception) -> str:
    """What a person needs of an error."""
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__


def _which(action: Action) -> str:
    """What of an action stays the same when it is tried again: its object, and which part of that a patch is about. Not
    its content, which may hold a time or a version: it would never rest."""
    part = f" ({', '.join(sorted(action.body))})" if isinstance(action, Patch) else ""
    return described(action) + part


class Setbacks:
    """`clock` gives seconds, `chance` a number in [0, 1) by which the times of rest are scattered."""

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self._met: dict[ClusterKey, dict[str, Setback]] = {}

    def met(self, key: ClusterKey, action: Action, error: MatriarchError) -> None:
        """The action failed. It rests for longer each time."""
        before = self._met.get(key, {}).get(_which(action))
        times = before.times if before is not None else 0
        until = self._clock() + backoff_s(times, self._chance())
        self._met.setdefault(key, {})[_which(action)] = Setback(action, error, times + 1, until)

    def resting(self, key: ClusterKey, action: Action) -> bool:
        """Whether it is too early to try this again, as it is or with another content."""
        before = self._met.get(key, {}).get(_which(action))
        return before is not None and self._clock() < before.until

    def over(self, key: ClusterKey, action: Action) -> None:
        """The action was carried out."""
        self._met.get(key, {}).pop(_which(action), None)

    def keep(self, key: ClusterKey, actions: Iterable[Action]) -> None:
        """Forgets what is not wanted any more."""
        wanted = {_which(action) for action in actions}
        self._met[key] = {name: one for name, one in self._met.get(key, {}).items() if name in wanted}
        if not self._met[key]:
            del self._met[key]

    def forget(self, key: ClusterKey) -> None:
        """Everything may be tried at once: a person has changed something, or the cluster is gone."""
        self._met.pop(key, None)

    def sentences(self, key: ClusterKey) -> tuple[str, ...]:
        """What a person has to know of."""
        return tuple(dict.fromkeys(one.sentence for one in self._met.get(key, {}).values() if one.sentence))

    def next_s(self, key: ClusterKey, *, restarting: bool = False) -> float | None:
        """Seconds until the first of them may be tried again; None when nothing rests.

        `restarting`: a restart is under way. Its end brings the next look, and no other one is tried before.
        """
        found = self._met.get(key, {}).values()
        rests = [one.until - self._clock() for one in found if not (restarting and isinstance(one.action, Restart))]
        return max(0.0, min(rests)) if rests else None
