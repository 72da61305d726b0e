"""Which seeds to run: a profile's share of a number, the ones that once failed, and where fresh ones begin."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SHARES = {"mixed": 50, "storm": 10, "standby": 10, "takeover": 25, "records": 5}
"""Of a hundred seeds, how many are of which profile."""
REGRESSIONS = Path(__file__).with_name("regressions.txt")


def shared_out(count: int) -> dict[str, int]:
    """How many seeds of each profile; at least one, when there are any."""
    return {profile: max(min(count, 1), count * share // 100) for profile, share in SHARES.items()}


def first_seed() -> int:
    """Where the seeds of the tests begin: MATRIARCH_FIRST_SEED, else 1. The same for every commit: a change is judged
    by what it does, and not by whether its number leads to a world in which an older defect shows."""
    return int(os.environ.get("MATRIARCH_FIRST_SEED") or 1)


def first_fresh_seed() -> int:
    """A number made from the commit: the seeds from there on are worlds that nobody has seen, and the same ones for the
    same commit. 1 where there is no repository."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(command, cwd=REGRESSIONS.parent, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return 1
    return 1_000_000 + int(done.stdout.strip()[:7], 16)


def regressions(profile: str) -> list[int]:
    """Seeds that once failed."""
    lines = (line.split("#")[0].split() for line in REGRESSIONS.read_text().splitlines())
    return [int(words[1]) for words in lines if words and words[0] == profile]
