"""What the adapter asks between two looks, and when it has something to tell."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from matriarch.testing.virtual_time import run
from matriarch.words.errors import QueryFailed
from matriarch_agent.init import kernel
from matriarch_agent.postgres import listening
from matriarch_agent.postgres.listening import EVERY_S, MUCH_WAL, Listening
from matriarch_agent.postgres.sql import Session


class Server:
    """Answers as a session to one would. `heard_at` None: no WAL receiver."""

    def __init__(self) -> None:
        self.heard_at: float | None = 0.0
        self.standbys, self.lsn = "7 streaming", 1000
        self.down = False
        self.asked = 0

    async def row(self, query: str, *, timeout: float) -> tuple[Any, ...]:
        self.asked += 1
        if self.down:
            raise QueryFailed(f"no answer within {timeout} s")
        if "receiver" not in query:
            return self.standbys, self.lsn
        return (None if self.heard_at is None else kernel.now() - self.heard_at,)


@pytest.fixture(autouse=True)
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kernel, listening.kernel):
        monkeypatch.setattr(module, "now", lambda: asyncio.get_running_loop().time())


def made() -> tuple[Server, Listening]:
    server = Server()
    return server, Listening(cast(Session, server))


async def within(seconds: float, waiting: Any) -> bool:
    """Whether it has returned within so many seconds."""
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    return bool(done)


def test_a_silence_is_told_when_it_is_long_enough_and_once() -> None:
    async def live() -> None:
        server, ears = made()
        waiting = asyncio.ensure_future(ears.silence(0.9))
        for moment in (0.4, 0.8, 1.2):
            assert not await within(0.4, waiting)
            server.heard_at = moment
        assert not await within(0.85, waiting)
        assert await within(0.1, waiting), "0.9 s after the last message"
        again = asyncio.ensure_future(ears.silence(0.9))
        assert not await within(10.0, again)
        server.heard_at = asyncio.get_running_loop().time()
        assert await within(2.0, again)

    run(live())


def test_a_receiver_that_is_gone_is_told_and_one_that_never_came_is_not() -> None:
    async def live() -> None:
        server, ears = made()
        server.heard_at = None
        waiting = asyncio.ensure_future(ears.silence(0.9))
        assert not await within(5.0, waiting)
        server.heard_at = asyncio.get_running_loop().time()
        assert not await within(0.9, waiting)
        server.heard_at = None
        assert await within(1.0, waiting)

    run(live())


def test_a_server_that_does_not_tell_is_no_reason_for_haste() -> None:
    async def live() -> None:
        server, ears = made()
        server.down = True
        waiting = asyncio.ensure_future(ears.silence(0.9))
        assert not await within(0.8, waiting)
        assert await within(0.2, waiting) and server.asked == 1

    run(live())


def test_a_clock_that_was_set_back_hides_no_silence() -> None:
    """The last message seemed to come from the future, and nobody looked at the leader for as long as the step was."""

    async def live() -> None:
        server, ears = made()
        server.heard_at = 3600.0
        waiting = asyncio.ensure_future(ears.silence(0.9))
        assert not await within(0.8, waiting)
        assert await within(0.2, waiting)
        server.heard_at = asyncio.get_running_loop().time()
        waiting = asyncio.ensure_future(ears.silence(0.9))
        assert not await within(0.8, waiting), "the next message tells the time anew"
        server.heard_at = None
        assert await within(1.0, waiting)

    run(live())


def test_standbys_are_asked_for_only_where_commits_wait_for_them() -> None:
    async def live() -> None:
        server, ears = made()
        waiting = asyncio.ensure_future(ears.standbys_changed())
        assert not await within(5.0, waiting) and server.asked == 0
        ears.heed_standbys(True)
        assert await within(2 * EVERY_S, waiting), "what came between the last look and the first answer"
        waiting = asyncio.ensure_future(ears.standbys_changed())
        assert not await within(5.0, waiting) and server.asked > 10
        server.standbys = ""
        assert await within(2 * EVERY_S, waiting)
        waiting = asyncio.ensure_future(ears.standbys_changed())
        server.lsn += MUCH_WAL // 2
        assert not await within(2 * EVERY_S, waiting)
        server.lsn += MUCH_WAL
        assert await within(2 * EVERY_S, waiting)
        waiting = asyncio.ensure_future(ears.standbys_changed())
        server.down = True
        assert await within(2 * EVERY_S, waiting)
        ears.close()

    run(live())
