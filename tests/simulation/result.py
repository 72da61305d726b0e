"""What became of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

NAMES = {0: "an agent crashed", 8: "liveness", 9: "politeness"}
LAST = 60
"""Lines of the trace that a report shows."""


@dataclass(slots=True)
class Result:
    """One run. `cpu_s` is what it cost; everything else is the same whenever the seed is run with the same code."""

    seed: int
    violation: tuple[int, str, str] | None
    """Rule number (0: an agent crashed, 8: liveness, 9: politeness), member, what."""
    virtual_s: float
    converged_after_s: float | None
    acknowledged: int
    faults: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    """The timeline, of a run that broke a rule or was asked for it."""
    profile: str = "mixed"
    cpu_s: float = 0.0

    def verdict(self) -> str:
        """One line: what was violated, or that nothing was."""
        if self.violation is None:
            return f"{self.profile} seed {self.seed}: no violation in {self.virtual_s:.0f} virtual seconds"
        rule, who, what = self.violation
        name = NAMES.get(rule, f"rule {rule}")
        return f"{self.profile} seed {self.seed}: {name} violated by {who}: {what.strip().splitlines()[-1]}"

    def report(self, last: int = LAST) -> str:
        """For a person: how it came to the violation, what it is, how to see it again."""
        if self.violation is None:
            return self.verdict()
        shown = self.trace[-last:]
        replay = f"cd tests && python -m simulation --profile {self.profile} --seed {self.seed}"
        lines = [f"the last {len(shown)} events:", *shown, "", self.violation[2], "", self.verdict()]
        return "\n".join([*lines, f"replay:         {replay}", f"whole timeline: {replay} --trace"])
