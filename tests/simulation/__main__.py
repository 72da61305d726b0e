"""python -m simulation --seeds 300: run seeds, two processes at once; print the timeline of the first that fails."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from simulation.plan import PROFILES
from simulation.result import Result
from simulation.runner import run_all
from simulation.seeds import SHARES, first_fresh_seed, shared_out
from simulation.summary import Summary
from simulation.world import simulate


def main() -> int:
    """Exit status 1 when a seed violates a rule."""
    options = _options()
    if options.seed is not None:
        result = simulate(options.seed, _one(options.profile), keep=None)
        sys.stdout.write("\n".join(result.trace) + "\n" if options.trace else "")
        sys.stdout.write((result.verdict() if options.trace else result.report()) + "\n")
        return 0 if result.violation is None else 1
    return _many(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds")
    parser.add_argument("--start", type=int, default=1, help="the first seed; 0: one that follows from the commit")
    parser.add_argument("--seed", type=int, help="replay this one seed")
    shares = ", ".join(f"{share} %% {profile}" for profile, share in SHARES.items())
    profiles = (*PROFILES, "all")
    parser.add_argument("--profile", choices=profiles, default="all", help=f"what kind of world; all: {shares}")
    parser.add_argument("--trace", action="store_true", help="with --seed: print the whole timeline")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--most", type=int, default=1, help="go on until so many seeds have failed")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start nothing new after so long")
    parser.add_argument("--json", type=Path, help="write the summary to this file as well")
    return parser.parse_args()


def _one(profile: str) -> str:
    return "mixed" if profile == "all" else profile


def _many(options: argparse.Namespace) -> int:
    start = options.start or first_fresh_seed()
    counts = shared_out(options.seeds) if options.profile == "all" else {options.profile: options.seeds}
    # Evenly mixed, so that a run that is ended early has its share of each profile.
    order = sorted((number / count, profile, number) for profile, count in counts.items() for number in range(count))
    work = [(start + number, profile) for _, profile, number in order]
    began = time.monotonic()
    summaries = {profile: Summary() for profile in counts}
    failed: list[Result] = []
    for result in run_all(work, options.jobs):
        summaries[result.profile].add(result)
        if result.violation is not None:
            sys.stdout.write(result.verdict() + "\n")
            sys.stdout.flush()
            failed.append(result)
        if len(failed) >= options.most or time.monotonic() - began > options.minutes * 60:
            break
    for profile, summary in summaries.items():
        sys.stdout.write(f"\n{profile}, from seed {start}: {summary.text()}")
    if options.json is not None:
        told = {"first_seed": start, "profiles": {name: each.document() for name, each in summaries.items()}}
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    if failed and options.most == 1:
        sys.stdout.write("\n" + failed[0].report() + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
