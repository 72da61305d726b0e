"""python -m simulation.reliability summary.json: put the figures of a run into docs/reliability.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def table(told: dict[str, Any]) -> str:
    """The figures as Markdown."""
    profiles: dict[str, dict[str, Any]] = told["profiles"]
    rows = [
        ("seeds", lambda p: p["seeds"]),
        ("violations of a rule", lambda p: len(p["violations"])),
        ("virtual cluster-hours", lambda p: p["virtual_hours"]),
        ("acknowledged commits", lambda p: p["acknowledged_commits"]),
        ("faults", lambda p: sum(p["faults"].values())),
        ("whole again after the last fault, median", lambda p: f"{p['whole_again_s']['median']} s"),
        ("whole again after the last fault, longest", lambda p: f"{p['whole_again_s']['longest']} s"),
    ]
    lines = [f"Seeds from {told['first_seed']}.", "", "| | " + " | ".join(profiles) + " |"]
    lines.append("| --- |" + " ---: |" * len(profiles))
    lines += [f"| {name} | " + " | ".join(str(of(p)) for p in profiles.values()) + " |" for name, of in rows]
    kinds = sorted({kind for p in profiles.values() for kind in p["faults"]})
    lines += ["", "| fault | " + " | ".join(profiles) + " |", "| --- |" + " ---: |" * len(profiles)]
    for kind in kinds:
        lines.append(f"| {kind} | " + " | ".join(str(p["faults"].get(kind, 0)) for p in profiles.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    """Replace what stands between the marks."""
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table(json.loads(Path(sys.argv[1]).read_text()))}\n{END}{tail}")


if __name__ == "__main__":
    main()
