"""Callbacks: one at a time, nobody waits for them, and a change of role is what counts."""

from __future__ import annotations

import asyncio

from matriarch.ha.commands import EVENTS, Command
from matriarch.ha.settings import settings_from
from matriarch.words.errors import ProgramFailed
from matriarch_agent.callbacks import Callbacks


class Stage:
    def __init__(self) -> None:
        self.called: list[Command] = []
        self.killed: list[Command] = []
        self.logged: list[str] = []
        self.takes = 0.0
        self.fails = False
        document = {"postgresql": {"callbacks": {event: f"/bin/tell '{event[3:]}'" for event in EVENTS}}}
        self.settings = settings_from(document)
        self.callbacks = Callbacks(self._run, lambda: self.settings, "demo", self._log)

    async def _run(self, command: Command) -> None:
        self.called.append(command)
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.killed.append(command)
            raise
        if self.fails:
            raise ProgramFailed("status 1")

    def _log(self, event: str, **facts: object) -> None:
        self.logged.append(event)

    async def events(self) -> list[tuple[str, str]]:
        await asyncio.sleep(0.01)
        return [(command[2], command[3]) for command in self.called]


async def test_arguments_are_event_role_and_cluster() -> None:
    stage = Stage()
    stage.callbacks.serves("primary", "on_start")
    await asyncio.sleep(0.01)
    assert stage.called == [("/bin/tell", "start", "on_start", "primary", "demo")]


async def test_a_change_of_role_is_told_instead_of_the_start() -> None:
    stage = Stage()
    stage.callbacks.serves("replica", "on_start")
    await stage.events()
    stage.callbacks.serves("primary", "on_role_change")
    await stage.events()
    stage.callbacks.serves("replica", "on_start")
    await stage.events()
    stage.callbacks.serves("replica", "on_restart")
    stage.callbacks.was("primary")
    expected = [("on_start", "replica"), ("on_role_change", "primary"), ("on_role_change", "replica")]
    assert await stage.events() == [*expected, ("on_restart", "replica")]


async def test_a_new_agent_knows_the_role_of_the_server_that_it_found() -> None:
    stage = Stage()
    stage.callbacks.was("primary")
    stage.callbacks.serves("replica", "on_start")
    assert await stage.events() == [("on_role_change", "replica")]


async def test_a_running_callback_is_ended_by_the_next_but_not_by_a_reload() -> None:
    stage = Stage()
    stage.takes = 60.0
    stage.callbacks.serves("replica", "on_start")
    await stage.events()
    stage.callbacks.reloaded()
    await stage.events()
    assert not stage.killed
    stage.callbacks.serves("primary", "on_role_change")
    await stage.events()
    assert [command[2] for command in stage.killed] == ["on_start"]
    stage.callbacks.end()
    await stage.events()
    assert len(stage.killed) == 3


async def test_a_failing_callback_is_logged_and_nothing_else_happens() -> None:
    stage = Stage()
    stage.fails = True
    stage.callbacks.stopped()
    await stage.events()
    assert stage.logged == ["callback failed"]


async def test_without_a_command_nothing_runs() -> None:
    stage = Stage()
    stage.settings = settings_from({})
    stage.callbacks.stopped()
    assert await stage.events() == []
