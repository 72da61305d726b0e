"""Many seeds, and every one that once failed.

MATRIARCH_SEEDS tells how many, MATRIARCH_FIRST_SEED where they begin. One that fails has the command that replays it in
its report. `make simulate START=0` goes where nobody has been.
"""

from __future__ import annotations

import os

import pytest

from simulation.plan import PROFILES
from simulation.runner import run_all
from simulation.seeds import first_seed, regressions, shared_out
from simulation.summary import Summary

SEEDS = int(os.environ.get("MATRIARCH_SEEDS", "2000"))
FIRST = first_seed()


def run(profile: str, seeds: list[int]) -> None:
    summary = Summary()
    for result in run_all([(seed, profile) for seed in seeds], min(2, os.cpu_count() or 1)):
        if result.violation is not None:
            pytest.fail(result.report(), pytrace=False)
        summary.add(result)
    print(f"{profile} seeds from {seeds[0] if seeds else '-'}: {summary.text()}")


@pytest.mark.parametrize("profile", PROFILES)
def test_seeds_keep_every_rule(profile: str) -> None:
    run(profile, list(range(FIRST, FIRST + shared_out(SEEDS)[profile])))


@pytest.mark.parametrize("profile", PROFILES)
def test_seeds_that_once_failed_keep_every_rule(profile: str) -> None:
    run(profile, regressions(profile))
