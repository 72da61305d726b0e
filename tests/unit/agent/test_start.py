"""What an agent needs of its environment before it does anything."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from matriarch_agent.__main__ import WrongEnvironment, heed_signals, me_from
from matriarch_agent.agent import Agent
from matriarch_agent.postgres.place import Place

COMPLETE = {
    "MATRIARCH_MEMBER": "demo-0",
    "MATRIARCH_CLUSTER": "demo",
    "MATRIARCH_POD_IP": "10.0.0.1",
    "MATRIARCH_POD_UID": "uid-0",
}


@pytest.mark.parametrize("missing", sorted(COMPLETE))
def test_a_member_without_an_address_or_a_name_does_not_begin(missing: str) -> None:
    """A leader that does not know its own address would take the lock and route nobody to itself."""
    assert me_from(COMPLETE).pod_ip == "10.0.0.1"
    with pytest.raises(WrongEnvironment, match=missing):
        me_from({**COMPLETE, missing: ""})


def test_nothing_of_the_containers_environment_reaches_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may run a function in the database would read it there: the API server's address, tokens, passwords."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("PGPASSWORD", "secret")
    place = Place("demo-0", "demo", tmp_path, tmp_path, tmp_path, tmp_path)
    assert set(place.environment()) == {"PATH", "LC_ALL", "TZ", "HOME"}


class Called:
    """An agent that notes what a signal makes of it."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def terminate(self) -> None:
        self.told.append("terminate")

    def remember(self, **changes: Any) -> None:
        self.told.append(changes)

    def wake(self) -> None:
        self.told.append("wake")


async def test_a_hangup_applies_the_configuration_again() -> None:
    """init passes it on, and it killed the agent."""
    agent, loop = Called(), asyncio.get_running_loop()
    heed_signals(cast(Agent, agent))
    try:
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.05)
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.remove_signal_handler(number)
    assert agent.told == [{"reload": True}, "wake", "terminate"]
