"""When a member last heard of the leader: by the age of the last WAL message, where that can be told."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from matriarch.ha.view import LockView, Memory, PostgresView, Upstream
from matriarch.words.facts import with_changes
from matriarch_agent.agent import Agent
from matriarch_agent.observe import Observer
from matriarch_agent.postgres.observe import read_facts

NOW = 1000.0
LEADER = LockView(holder="demo-0", epoch=3)


class Stub:
    """As much of an agent as listening needs."""

    def __init__(self, heard: float) -> None:
        self.me = SimpleNamespace(name="demo-1")
        self.moment = NOW
        self.store = SimpleNamespace(lock=lambda: LEADER)
        self.memory = Memory(followed=Upstream("demo-0", "10.0.0.10", 5432), leader_heard_at=heard)

    def now(self) -> float:
        return self.moment

    def remember(self, **changes: Any) -> None:
        self.memory = with_changes(self.memory, **changes)


def listened(age: float | None, heard: float = NOW - 0.5) -> float | None:
    agent = Stub(heard)
    observer = Observer(cast(Agent, agent))
    observer._listens_to = ("demo-0", 3)
    observer.postgres = PostgresView(streaming=True, in_recovery=True, heard_age=age)
    observer._listen()
    return agent.memory.leader_heard_at


@pytest.mark.parametrize(("age", "heard"), [(0.25, NOW - 0.25), (5.0, NOW - 0.5), (None, NOW - 0.5), (-3600.0, NOW)])
def test_nobody_is_heard_of_in_the_future(age: float | None, heard: float) -> None:
    """After the wall clock had been set back, a dead leader counted as alive for as long as the step was."""
    assert listened(age) == heard


@pytest.mark.parametrize(("told", "age"), [(1.5, 1.5), (0.0, 0.0), (None, None), (-0.5, None), (-3600.0, None)])
def test_an_age_below_zero_is_none(told: float | None, age: float | None) -> None:
    answer: dict[str, Any] = dict.fromkeys(
        ("lsn", "insert_lsn", "flush_lsn", "received", "replayed", "replayed_at", "startup", "upstream", "pending")
    )
    answer |= {"recovery": True, "restore_command": "", "paused": False, "checkpoint_timeline": 1, "version": 170000}
    answer |= {"started": "", "standbys": [], "slots": [], "sync": ""}
    answer["receiver"] = {"pid": 7, "status": "streaming", "timeline": 1, "end": 1, "heard": told}
    assert read_facts(json.dumps(answer)).heard_age == age
