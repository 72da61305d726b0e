"""Long activities and small tasks beside the loop: what fails there is told, and not begun again without pause."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from matriarch.ha.actions import Checkpoint, Clone, Long, Rewind, StartReplica
from matriarch.ha.view import Memory, Upstream
from matriarch.testing.virtual_time import run
from matriarch.words.errors import MatriarchError, ProgramFailed
from matriarch_agent.agent import Agent
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

        def failed(_: Long, error: MatriarchError) -> float:
            failures.append(error)
            return 7.0

        jobs = Jobs(carry_out, failed, now, lambda: None, lambda event, **facts: None)
        task = jobs.begin(StartReplica(None))
        await asyncio.wait({task})
        assert now() == 7.0 and task.exception() is None and jobs.activity is None

    run(live())
    assert len(failures) == 1 and str(failures[0])


def test_what_fails_again_and_again_beside_everything_else_is_told_when_it_changes() -> None:
    """A permanent logical slot whose database nobody made filled the log with the same line every ten seconds."""
    problems = ["no database", "no database", "no plugin", None, "no plugin"]
    told: list[object] = []

    async def carry_out(action: Long) -> None:
        del action
        problem = problems.pop(0)
        if problem is not None:
            raise ProgramFailed(problem)

    async def live() -> None:
        def log(event: str, **facts: object) -> None:
            told.append(facts.get("error", event))

        jobs = Jobs(carry_out, lambda *_: 1.0, asyncio.get_running_loop().time, lambda: None, log)
        while problems:
            jobs.begin_aside(Checkpoint())
            await asyncio.sleep(2.0)

    run(live())
    assert told == ["no database", "no plugin", "activity done", "no plugin"]


def test_a_copy_that_fails_again_and_again_leaves_its_source_in_peace() -> None:
    """Two in a second, each with a checkpoint of the primary, went on for as long as a volume was too small."""
    agent = SimpleNamespace(memory=Memory())
    agent.remember = lambda **changes: setattr(agent, "memory", replace(agent.memory, **changes))

    def failed(action: Long) -> float:
        return Agent._failed(cast(Agent, agent), action, ProgramFailed("no room"))

    pauses = [failed(Clone(None)) for _ in range(8)]
    assert pauses[:2] == [PAUSE_AFTER_FAILURE_S] * 2, "the other source comes at once"
    assert pauses == sorted(pauses) and pauses[-1] == pauses[-2] == 8.0
    assert agent.memory.clone_complaint == "no room"
    assert failed(Rewind(Upstream("demo-0", "10.0.0.0"))) == PAUSE_AFTER_FAILURE_S
