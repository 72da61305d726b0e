"""What was run, in figures: for a person, and as JSON for docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulation.result import Result


@dataclass(slots=True)
class Summary:
    """The sum of many runs."""

    seeds: int = 0
    violations: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    acknowledged: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    convergence: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, results: Iterable[Result]) -> Summary:
        """The sum of `results`."""
        summary = cls()
        for result in results:
            summary.add(result)
        return summary

    def add(self, result: Result) -> None:
        """Count one run more."""
        self.seeds += 1
        self.virtual_s += result.virtual_s
        self.cpu_s += result.cpu_s
        self.acknowledged += result.acknowledged
        self.faults.update(result.faults)
        if result.violation is not None:
            self.violations.append(result.verdict())
        if result.converged_after_s is not None:
            self.convergence.append(result.converged_after_s)

    @property
    def speed(self) -> float:
        """Virtual cluster-hours per CPU minute."""
        return (self.virtual_s / 3600) / (self.cpu_s / 60) if self.cpu_s else 0.0

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        settled = sorted(self.convergence)
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "virtual_hours": round(self.virtual_s / 3600, 2),
            "cpu_minutes": round(self.cpu_s / 60, 2),
            "virtual_hours_per_cpu_minute": round(self.speed, 1),
            "acknowledged_commits": self.acknowledged,
            "whole_again_s": {
                "median": round(settled[len(settled) // 2], 1) if settled else None,
                "longest": round(settled[-1], 1) if settled else None,
            },
            "faults": dict(sorted(self.faults.items())),
        }

    def text(self) -> str:
        """For a person."""
        told = self.document()
        whole, faults = told["whole_again_s"], told["faults"]
        lines = [
            f"{self.seeds} seeds, {len(self.violations)} violations, {told['virtual_hours']} virtual cluster-hours in "
            f"{told['cpu_minutes']} CPU minutes: {told['virtual_hours_per_cpu_minute']} each minute",
            f"{self.acknowledged} acknowledged commits; whole again {whole['median']} s after the last fault (median), "
            f"{whole['longest']} s (longest)",
            f"{sum(faults.values())} faults:",
        ]
        width = max((len(kind) for kind in faults), default=0)
        pairs = [f"{kind:<{width}} {count:>6}" for kind, count in faults.items()]
        return "\n".join([*lines, *("  " + "    ".join(pairs[i : i + 3]) for i in range(0, len(pairs), 3))]) + "\n"
