"""What one stage answers."""

from __future__ import annotations

from dataclasses import dataclass

from matriarch.fleet.actions import Action, Note
from matriarch.spec.status import SwitchoverStatus


@dataclass(frozen=True, slots=True)
class Step:
    """The next step of a procedure that is under way. A step without actions waits for something to be observed."""

    phase: str
    doing: str
    """What is being done or waited for, for a person."""
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    switchover: SwitchoverStatus | None = None
    """What to record as the last switchover, when it changes."""
    wake_after_s: float | None = None
