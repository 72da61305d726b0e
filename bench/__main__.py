"""The outage bench; `bench/outage --help`.

Every system gets the same cluster, the same volumes and the same ten writers, one system after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from e2e import images
from e2e.cluster import ClusterProvider, choose
from e2e.kubectl import Helm, Kubectl
from e2e.operator_release import OperatorRelease
from e2e.probe.child import ProbeFailed
from e2e.shell import CommandFailed, TimedOut

from bench.faults import FAULTS, BenchFault, Outcome, measure
from bench.report import as_json, as_table
from bench.systems import Matriarch, Patroni, System

SYSTEMS: dict[str, Callable[[Kubectl], System]] = {"matriarch": Matriarch, "patroni": Patroni}
Runs = list[Outcome] | str


def say(text: str) -> None:
    """Progress goes to standard error: standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when every wanted run ended."""
    options = parse(words)
    provider = choose()
    with _ProgressOnStderr():
        provider.up()
        needs = {"matriarch": images.IMAGES, "patroni": (images.PATRONI_IMAGE,)}
        provider.load(images.build(provider, [image for name in options.system for image in needs[name]]))
    kubectl = Kubectl(provider.env)
    results: dict[str, dict[str, Runs]] = {}
    try:
        if "matriarch" in options.system:
            OperatorRelease(kubectl, Helm(provider.env)).install()
        for name in options.system:
            results[name] = _one_system(SYSTEMS[name](kubectl), provider, options)
    finally:
        if not options.keep:
            with _ProgressOnStderr():
                provider.down()
    print(json.dumps(as_json(results), indent=1) if options.json else as_table(results))
    return 1 if any(isinstance(runs, str) for by_fault in results.values() for runs in by_fault.values()) else 0


def _one_system(system: System, provider: ClusterProvider, options: argparse.Namespace) -> dict[str, Runs]:
    say(f"{system.label}: creating three members")
    system.create()
    found: dict[str, Runs] = {}
    for fault in FAULTS:
        if fault.name in options.fault:
            found[fault.name] = _one_fault(system, provider, fault, options.runs)
    system.remove()
    return found


def _one_fault(system: System, provider: ClusterProvider, fault: BenchFault, runs: int) -> Runs:
    outcomes: list[Outcome] = []
    for number in range(1, runs + 1):
        try:
            outcome = measure(system, provider, fault)
        except (CommandFailed, TimedOut, ProbeFailed) as error:
            say(f"{system.label} {fault.name} run {number}: {error}")
            return str(error)
        outcomes.append(outcome)
        say(f"{system.label} {fault.name} run {number}: {outcome}")
    return outcomes


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    faults = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(prog="bench/outage", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--system", action="append", choices=list(SYSTEMS), help="only this one; may be repeated")
    parser.add_argument("--fault", action="append", choices=faults, help="only this one; may be repeated")
    parser.add_argument("--runs", type=int, default=1, help="runs of each fault (default: 1)")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    options = parser.parse_args(words)
    options.system = options.system or list(SYSTEMS)
    options.fault = options.fault or faults
    return options


class _ProgressOnStderr:
    """Providers let their tools write to the terminal; with `--json` only the result may go to standard output."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self._kept = os.dup(1)
        os.dup2(2, 1)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        os.dup2(self._kept, 1)
        os.close(self._kept)


if __name__ == "__main__":
    sys.exit(main())
