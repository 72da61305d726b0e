"""python -m simulation --seeds 300: run seeds, two processes at once; print the trace of the first that fails."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from functools import partial

from simulation.plan import PROFILES
from simulation.world import Result, simulate


def main() -> int:
    """Exit status 1 when a seed violates a rule."""
    options = _options()
    if options.seed is not None:
        result = simulate(options.seed, options.profile, keep=None)
        sys.stdout.write("\n".join(result.trace) + "\n" if options.trace else "")
        sys.stdout.write(result.report() + "\n")
        return 0 if result.violation is None else 1
    return _many(range(options.start, options.start + options.seeds), options.profile, options.jobs, options.most)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds")
    parser.add_argument("--start", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one seed")
    parser.add_argument("--profile", choices=PROFILES, default="mixed", help="what kind of world")
    parser.add_argument("--trace", action="store_true", help="with --seed: print the whole trace")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--most", type=int, default=1, help="go on until so many seeds have failed")
    return parser.parse_args()


def _many(seeds: range, profile: str, jobs: int, most: int) -> int:
    started = time.monotonic()
    results: list[Result] = []
    failed: list[Result] = []
    with multiprocessing.Pool(jobs) as pool:
        for result in pool.imap_unordered(partial(simulate, profile=profile), seeds):
            if result.violation is not None:
                rule, who, what = result.violation
                sys.stdout.write(f"seed {result.seed}: rule {rule}, {who}: {what.strip().splitlines()[-1]}\n")
                sys.stdout.flush()
                failed.append(result)
            results.append(result)
            if len(failed) >= most:
                pool.terminate()
                break
    sys.stdout.write(summary(results, time.monotonic() - started))
    if failed and most == 1:
        sys.stdout.write(failed[0].report() + "\n")
    return 1 if failed else 0


def summary(results: list[Result], seconds: float) -> str:
    """What was run, in figures."""
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    hours = sum(result.virtual_s for result in results) / 3600
    failed = sum(result.violation is not None for result in results)
    settled = sorted(r.converged_after_s for r in results if r.converged_after_s is not None)
    text = f"{len(results)} seeds, {failed} violations, {hours:.1f} virtual hours in {seconds:.0f} s, "
    text += f"{sum(faults.values())} faults, {sum(result.acknowledged for result in results)} acknowledged commits\n"
    if settled:
        middle, last = settled[len(settled) // 2], settled[-1]
        text += f"whole again after {middle:.1f} s (median), {last:.1f} s (longest)\n"
    return text + "".join(f"  {kind} {count}\n" for kind, count in sorted(faults.items()))


if __name__ == "__main__":
    sys.exit(main())
