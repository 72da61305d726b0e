"""Fresh seeds, and every seed that once failed. MATRIARCH_SEEDS tells how many."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest

from simulation.__main__ import summary
from simulation.plan import PROFILES
from simulation.world import Result, simulate

SEEDS = int(os.environ.get("MATRIARCH_SEEDS", "300"))
SLICE = 50
REGRESSIONS = Path(__file__).with_name("regressions.txt")


STORMS = STANDBYS = SEEDS // 5
"""Storms and standby clusters are run besides the mixed seeds."""


def regressions(profile: str) -> list[int]:
    lines = (line.split("#")[0].split() for line in REGRESSIONS.read_text().splitlines())
    return [int(words[1]) for words in lines if words and words[0] == profile]


def run(profile: str, seeds: list[int]) -> None:
    results: list[Result] = []
    # Spawned, not forked: a seed must not depend on what the test process did before.
    with multiprocessing.get_context("spawn").Pool(min(2, os.cpu_count() or 1)) as pool:
        for result in pool.imap_unordered(partial(simulate, profile=profile), seeds):
            if result.violation is not None:
                pool.terminate()
                pytest.fail(result.report(), pytrace=False)
            results.append(result)
    print(summary(results, 0.0))


def slices(count: int) -> list[tuple[int, int]]:
    return [(start, min(start + SLICE, count + 1)) for start in range(1, count + 1, SLICE)]


@pytest.mark.parametrize(("start", "end"), slices(SEEDS))
def test_mixed_seeds_keep_every_rule(start: int, end: int) -> None:
    run("mixed", list(range(start, end)))


@pytest.mark.parametrize(("start", "end"), slices(STORMS))
def test_storms_keep_every_rule(start: int, end: int) -> None:
    run("storm", list(range(start, end)))


@pytest.mark.parametrize(("start", "end"), slices(STANDBYS))
def test_standby_clusters_keep_every_rule(start: int, end: int) -> None:
    run("standby", list(range(start, end)))


@pytest.mark.parametrize("profile", PROFILES)
def test_seeds_that_once_failed_keep_every_rule(profile: str) -> None:
    run(profile, regressions(profile))
