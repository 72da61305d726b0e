"""A seed is a whole world: two runs tell the same story, byte for byte, whatever the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def story(seed: int, hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "simulation", "--seed", str(seed), "--trace"]
    return subprocess.run(command, env=environment, cwd=TESTS, capture_output=True, check=False, timeout=120).stdout


@pytest.mark.parametrize("seed", [4, 46, 159, 966])
def test_two_runs_of_a_seed_are_the_same(seed: int) -> None:
    first, second = story(seed, "1"), story(seed, "2")
    assert len(first.splitlines()) > 50
    assert first == second
