"""Restarts over HTTP: what a member answers, and what that means."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from matriarch.fleet.actions import Restart
from matriarch.words import names
from matriarch.words.errors import ConflictError, Unavailable
from matriarch_operator.member_client import MemberClient

WANTED = Restart("demo-1", "127.0.0.1", "replica")


async def _member(monkeypatch: pytest.MonkeyPatch, status: int, asked: list[Any]) -> web.AppRunner:
    async def restart(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(status=status, text="restart conditions are not satisfied")

    application = web.Application()
    application.router.add_post("/restart", restart)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(names, "REST_PORT", runner.addresses[0][1])
    return runner


async def test_a_restart_asks_for_the_role_and_the_pending_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    runner = await _member(monkeypatch, 200, asked)
    await MemberClient().restart(WANTED)
    await runner.cleanup()
    assert asked == [{"restart_pending": True, "role": "replica"}]


async def test_a_member_that_refuses_means_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = await _member(monkeypatch, 503, [])
    with pytest.raises(ConflictError, match="conditions are not satisfied"):
        await MemberClient().restart(WANTED)
    await runner.cleanup()


async def test_a_member_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = await _member(monkeypatch, 200, [])
    await runner.cleanup()
    with pytest.raises(Unavailable):
        await MemberClient().restart(WANTED)
