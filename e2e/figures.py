"""The figures that tests measured, for the end of pytest's output and for e2e/out/figures.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from e2e.probe.process import Report
from e2e.shell import OUT


@dataclass(frozen=True, slots=True)
class Figure:
    """One fault: the longest time without an acknowledged write, and what became of the acknowledged rows."""

    fault: str
    gap_s: float
    acknowledged: int
    lost: int | None


class Figures:
    """Collects figures over a run."""

    def __init__(self) -> None:
        self.all: list[Figure] = []

    def note(self, fault: str, report: Report) -> None:
        """Keep the figures of one probe."""
        self.all.append(Figure(fault, report.longest_gap_s, report.acknowledged, report.lost))

    def take(self, figures: Iterable[dict[str, Any]]) -> None:
        """Add what another process measured, as `plain` gave it."""
        self.all += [Figure(**one) for one in figures]

    def plain(self) -> list[dict[str, Any]]:
        """The figures as JSON knows them."""
        return [asdict(one) for one in self.all]

    def lines(self) -> list[str]:
        """A table, one line per fault."""
        width = max((len(one.fault) for one in self.all), default=0)
        return [
            f"{one.fault:<{width}}  gap {one.gap_s:7.3f} s  acknowledged {one.acknowledged:6d}  lost {one.lost}"
            for one in self.all
        ]

    def save(self) -> None:
        """Write e2e/out/figures.json."""
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "figures.json").write_text(json.dumps(self.plain(), indent=1) + "\n")
