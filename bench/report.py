"""From runs to what is printed: a table for people, or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.faults import FAULTS, Outcome

Results = Mapping[str, Mapping[str, Sequence[Outcome] | str]]
"""System -> fault -> outcomes, or why there are none."""


def as_json(results: Results) -> dict[str, dict[str, dict[str, object]]]:
    """`{system: {fault: {gap_s, acknowledged, lost}}}`; the gap is the worst of all runs, the rows are sums."""
    return {system: {fault: _entry(runs) for fault, runs in by_fault.items()} for system, by_fault in results.items()}


def _entry(runs: Sequence[Outcome] | str) -> dict[str, object]:
    if isinstance(runs, str):
        return {"gap_s": None, "acknowledged": None, "lost": None, "error": runs}
    entry: dict[str, object] = {
        "gap_s": max(one.gap_s for one in runs),
        "acknowledged": sum(one.acknowledged for one in runs),
        "lost": None if any(one.lost is None for one in runs) else sum(one.lost or 0 for one in runs),
        "gaps_s": [one.gap_s for one in runs],
        "two_writers": [proof for one in runs for proof in one.two_writers],
    }
    alone = [one.isolated for one in runs if one.isolated is not None]
    if alone:
        entry["isolated_session"] = {
            "acknowledged_after_the_cut": sum(one.acknowledged for one in alone),
            "lost": sum(one.lost for one in alone),
            "answered_for_s": max(one.seconds for one in alone),
        }
    return entry


def as_table(results: Results) -> str:
    """One line per fault, systems side by side, with the goal."""
    entries, systems = as_json(results), list(results)
    lines = ["longest gap between acknowledged writes, seconds (worst run); rows acknowledged, then missing", ""]
    lines.append(f"{'fault':<18}{'goal':>6}  " + "".join(f"{system:<34}" for system in systems))
    for fault in FAULTS:
        if not any(fault.name in entries[system] for system in systems):
            continue
        cells = "".join(f"{_cell(entries[system].get(fault.name)):<34}" for system in systems)
        lines.append(f"{fault.name:<18}{fault.goal_s:>6g}  {cells}".rstrip())
    return "\n".join(lines)


def _cell(entry: Mapping[str, object] | None) -> str:
    if entry is None:
        return "-"
    if entry["gap_s"] is None:
        return "failed: " + str(entry["error"])[:24]
    cell = f"{entry['gap_s']:.2f}  {entry['acknowledged']} rows, {entry['lost']} lost"
    alone = entry.get("isolated_session")
    if isinstance(alone, dict):
        cell += f" (+{alone['lost']} local)"
    return cell
