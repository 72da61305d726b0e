"""Many seeds in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

from simulation.result import Result
from simulation.world import simulate

Job = tuple[int, str]
"""A seed and a profile."""


def run_all(work: list[Job], processes: int) -> Iterator[Result]:
    """Run every job and yield what becomes of it, in whatever order."""
    # Spawned, not forked: a seed must not depend on what this process did before.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(_simulate, work, chunksize=4)


def _simulate(job: Job) -> Result:
    return simulate(*job)
