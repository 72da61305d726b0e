"""Long activities and small tasks beside the loop: what fails there is told, and not begun again without pause."""

from __future__ import annotations

import asyncio
import errno

import pytest

from matriarch.ha.actions import Long, StartReplica
from matriarch.testing.virtual_time import run
from matriarch.words.errors import MatriarchError, ProgramFailed
from matriarch_agent.jobs import PAUSE_AFTER_FAILURE_S, Jobs


@pytest.mark.parametrize(
    "problem", [ProgramFailed("no"), OSError(errno.ENOSPC, "No space left on device", "/volume/x"), TimeoutError()]
)
def test_an_activity_that_fails_is_told_and_rests_for_a_moment(problem: Exception) -> None:
    failures: list[MatriarchError] = []

    async def carry_out(action: Long) -> None:
        del action
        raise problem

    async def live() -> None:
        now = asyncio.get_running_loop().time
        jobs = Jobs(carry_out, lambda _, error: failures.append(error), now, lambda: None, lambda event, **facts: None)
        task = jobs.begin(StartReplica(None))
        await asyncio.wait({task})
        assert now() == PAUSE_AFTER_FAILURE_S and task.exception() is None and jobs.activity is None

    run(live())
    assert len(failures) == 1 and str(failures[0])
