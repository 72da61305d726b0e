"""An agent for the REST server's tests: a view that the test may change, and a list of what was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unit.ha.document_cases import NOW, WALL, facts_of, view_of

from matriarch.ha.documents import Facts
from matriarch.ha.failsafe import Verdict, judge_failsafe
from matriarch.ha.scheduled import ScheduledRestart
from matriarch.ha.view import LockView, PeerAnswer, Request, View
from matriarch.words.errors import MatriarchError
from matriarch_agent.ports import FailsafeClaim
from matriarch_agent.rest import Counters, RestServer, SettingsSource


class FakeFace:
    """Implements Face on plain attributes."""

    def __init__(self, view: View | None = None) -> None:
        self.view: View | None = view or view_of()
        self.source = SettingsSource('{"ttl": 9, "loop_wait": 3}', "11")
        self.failure: MatriarchError | None = None
        self.asked: list[tuple[Any, ...]] = []
        self.kept: list[dict[str, Any]] = []
        self.counted = Counters({"Leading": 3}, {"renewed": 7, "lost": 1}, {"accepted": 2})
        self.restart_answer: str | None = None
        self.refreshed = 0
        self.refresh_takes = 0.0
        self._offset = NOW - asyncio.get_running_loop().time()

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._offset

    def facts(self) -> Facts:
        now = self.now()
        base = facts_of(self.view or view_of())
        lease = base.lease_until if self.view is not None else None
        return replace(base, view=self.view, lease_until=lease, now=now, wall=WALL + now - NOW)

    async def refresh(self) -> None:
        self.refreshed += 1
        await asyncio.sleep(self.refresh_takes)

    def decisions(self) -> Sequence[Mapping[str, Any]]:
        return self.kept

    def settings_source(self) -> SettingsSource:
        return self.source

    def counters(self) -> Counters:
        return self.counted

    async def accept_failsafe(self, claim: FailsafeClaim) -> Verdict:
        self.asked.append(("failsafe", claim))
        return judge_failsafe(self.view or view_of(), claim, self.now())

    async def write_settings(self, text: str, version: str | None) -> None:
        self._fail_or_note("settings", json.loads(text), version)

    async def write_request(
        self, leader: str | None, candidate: str | None, scheduled_at: str | None, version: str | None = None
    ) -> None:
        self._fail_or_note("request", leader, candidate, scheduled_at, version)
        self.look(request=Request(leader, candidate, None, "20"))

    async def restart(self, timeout: float | None) -> str | None:
        self._fail_or_note("restart", timeout)
        return self.restart_answer

    def schedule_restart(self, scheduled: ScheduledRestart | None) -> bool:
        assert self.view is not None
        memory = self.view.memory
        if (scheduled is None) == (memory.scheduled_restart is None):
            return False
        self.look(memory=replace(memory, scheduled_restart=scheduled))
        return True

    def reload(self) -> None:
        self.asked.append(("reload",))

    def reinitialize(self, *, force: bool, from_leader: bool) -> None:
        self.asked.append(("reinitialize", force, from_leader))

    def look(self, **changes: Any) -> None:
        """Take a new view."""
        assert self.view is not None
        self.view = replace(self.view, now=self.now(), **changes)

    def hold(self, name: str | None) -> None:
        """The lock changes hands, and the request is done with."""
        self.look(lock=LockView(holder=name), request=Request(None, None, None, "21"))

    def _fail_or_note(self, *words: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append(words)


class FakePeers:
    """Peers who answer what the test says; everybody is a healthy replica at first."""

    def __init__(self) -> None:
        self.answers: dict[str, PeerAnswer] = {}

    async def ask(self, name: str, api_url: str, *, timeout: float) -> PeerAnswer:
        return self.answers.get(name, PeerAnswer(name, True, in_recovery=True, running=True, lsn=1, timeline=2))

    async def claim(self, api_url: str, claim: FailsafeClaim, *, timeout: float) -> bool:
        return True


@contextlib.asynccontextmanager
async def serving(face: FakeFace, peers: FakePeers | None = None) -> AsyncIterator[RestServer]:
    """The real server on a free port of the loopback."""
    server = RestServer(face, peers or FakePeers(), "127.0.0.1", 0)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def raw(port: int, request: bytes) -> tuple[int, bytes]:
    """What a client without an HTTP library sees: the status and everything after the head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


async def call(
    server: RestServer, method: str, path: str, document: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """One request with an optional JSON body; the status and the body."""
    body = b"" if document is None else json.dumps(document).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: demo", "Connection: close"]
    if document is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    status, answer = await raw(server.port, "\r\n".join([*lines, "", ""]).encode() + body)
    return status, answer.decode()
