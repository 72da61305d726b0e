"""Fresh seeds, and every seed that once failed. MATRIARCH_SEEDS tells how many."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from simulation.__main__ import summary
from simulation.world import Result, simulate

SEEDS = int(os.environ.get("MATRIARCH_SEEDS", "300"))
SLICE = 50
REGRESSIONS = Path(__file__).with_name("regressions.txt")


def regressions() -> list[int]:
    lines = (line.split("#")[0].strip() for line in REGRESSIONS.read_text().splitlines())
    return [int(line) for line in lines if line]


def run(seeds: list[int]) -> None:
    results: list[Result] = []
    # Spawned, not forked: a seed must not depend on what the test process did before.
    with multiprocessing.get_context("spawn").Pool(min(2, os.cpu_count() or 1)) as pool:
        for result in pool.imap_unordered(simulate, seeds):
            if result.violation is not None:
                pool.terminate()
                pytest.fail(result.report(), pytrace=False)
            results.append(result)
    print(summary(results, 0.0))


@pytest.mark.parametrize("start", range(1, SEEDS + 1, SLICE))
def test_fresh_seeds_keep_every_rule(start: int) -> None:
    run(list(range(start, min(start + SLICE, SEEDS + 1))))


def test_seeds_that_once_failed_keep_every_rule() -> None:
    run(regressions())
