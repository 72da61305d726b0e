"""Switchover, failover, restart, reload, reinitialize and failsafe over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from unit.ha.document_cases import WALL, primary_postgres, replica_postgres, view_of
from unit.rest.fake_face import FakeFace, FakePeers, call, raw, serving

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import PeerAnswer, Request
from matriarch.words.errors import ConflictError, Unavailable
from matriarch_agent.rest import leadership

TO_ONE = {"leader": "demo-0", "candidate": "demo-1"}


async def _switchover(face: FakeFace, body: dict[str, Any], path: str = "/switchover") -> tuple[int, str]:
    async with serving(face) as server:
        return await call(server, "POST", path, body)


async def _after(seconds: float, face: FakeFace, holder: str | None) -> None:
    await asyncio.sleep(seconds)
    face.hold(holder)


@pytest.mark.parametrize(
    ("path", "body", "holder", "answer"),
    [
        ("/switchover", TO_ONE, "demo-1", (200, 'Successfully switched over to "demo-1"')),
        ("/switchover", {"leader": "demo-0"}, "demo-1", (200, 'Successfully switched over to "demo-1"')),
        ("/switchover", TO_ONE, "demo-2", (200, 'Switched over to "demo-2" instead of "demo-1"')),
        ("/failover", {"candidate": "demo-2"}, "demo-2", (200, 'Successfully failed over to "demo-2"')),
        ("/switchover", TO_ONE, "demo-0", (503, "Switchover failed")),
        ("/failover", {"candidate": "demo-2"}, "demo-0", (503, "Failover failed")),
    ],
)
async def test_the_answer_waits_for_the_outcome(
    path: str, body: dict[str, Any], holder: str, answer: tuple[int, str]
) -> None:
    face = FakeFace()
    change = asyncio.create_task(_after(0.3, face, holder))
    assert await _switchover(face, body, path) == answer
    await change
    assert face.asked == [("request", body.get("leader"), body.get("candidate"), None, None)]


async def test_a_free_lock_is_no_outcome() -> None:
    face = FakeFace()

    async def hand_over() -> None:
        await _after(0.2, face, None)
        await _after(1.0, face, "demo-1")

    change = asyncio.create_task(hand_over())
    assert (await _switchover(face, TO_ONE))[0] == 200
    await change


async def test_the_outcome_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    face = FakeFace()
    facts, skipped = face.facts, [0.0]

    def hurried() -> Any:
        """Every look is five seconds later than the one before."""
        skipped[0] += 5.0
        found = facts()
        return replace(found, now=found.now + skipped[0])

    monkeypatch.setattr(face, "facts", hurried)
    monkeypatch.setattr(leadership, "POLL_S", 0.0)
    assert await _switchover(face, {"leader": "demo-0"}) == (503, "Switchover status unknown")


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/failover", {"leader": "demo-0"}, (400, "Failover could be performed only to a specific candidate")),
        ("/switchover", {"candidate": "demo-1"}, (400, "Switchover could be performed only from a specific leader")),
        ("/switchover", {"leader": "demo-1"}, (412, "leader name does not match")),
        (
            "/switchover",
            {"leader": "demo-0", "candidate": "demo-2"},
            (412, "candidate name does not match with sync_standby"),
        ),
        ("/failover", {"candidate": "demo-9"}, (412, "candidate does not exists")),
    ],
)
async def test_refusals_have_patronis_words(path: str, body: dict[str, Any], answer: tuple[int, str]) -> None:
    face = FakeFace()
    assert await _switchover(face, body, path) == answer
    assert face.asked == []


async def test_what_a_client_sent_comes_back_escaped() -> None:
    face = FakeFace()
    async with serving(face) as server:
        status, body = await call(server, "POST", "/restart", {"<script>": 1})
    assert status == 400
    assert "<script>" not in body


async def test_candidates_are_polled() -> None:
    peers = FakePeers()
    peers.answers["demo-1"] = PeerAnswer("demo-1", reachable=False)
    async with serving(FakeFace(), peers) as server:
        answer = await call(server, "POST", "/switchover", {"leader": "demo-0"})
    assert answer == (412, "switchover is not possible: no good candidates have been found")


async def test_a_request_that_cannot_be_written() -> None:
    face = FakeFace()
    face.failure = Unavailable("gone")
    assert await _switchover(face, TO_ONE) == (503, "failed to write failover key into DCS")


async def test_a_schedule_is_written_and_not_waited_for() -> None:
    face = FakeFace()
    body = {"leader": "demo-0", "candidate": "nobody-yet", "scheduled_at": "2030-01-01T00:00:00Z"}
    assert await _switchover(face, body) == (202, "Switchover scheduled")
    assert face.asked == [("request", "demo-0", "nobody-yet", "2030-01-01T00:00:00+00:00", None)]


async def test_a_schedule_can_be_taken_back() -> None:
    face = FakeFace()
    async with serving(face) as server:
        assert await call(server, "DELETE", "/switchover") == (404, "no switchover is scheduled")
        face.look(request=Request("demo-0", None, WALL + 60, "8"))
        face.failure = ConflictError("changed")
        assert (await call(server, "DELETE", "/switchover"))[0] == 409
        face.failure = None
        assert await call(server, "DELETE", "/switchover") == (200, "scheduled switchover deleted")
    assert face.asked == [("request", None, None, None, "8")]


async def test_restart() -> None:
    face = FakeFace()
    async with serving(face) as server:
        assert await raw(server.port, b"POST /restart HTTP/1.0\r\n\r\n") == (200, b"restarted successfully")
        assert await call(server, "POST", "/restart", {"timeout": 30}) == (200, "restarted successfully")
        assert await call(server, "POST", "/restart", {"role": "replica"}) == (
            503,
            "restart conditions are not satisfied",
        )
        later = {"schedule": "2030-01-01T00:00:00Z"}
        assert await call(server, "DELETE", "/restart") == (404, "no restarts are scheduled")
        assert await call(server, "POST", "/restart", later) == (202, "Restart scheduled")
        assert await call(server, "POST", "/restart", later) == (409, "Another restart is already scheduled")
        assert await call(server, "DELETE", "/restart") == (200, "scheduled restart deleted")
        face.restart_answer = "postgres is still starting"
        assert await call(server, "POST", "/restart", {}) == (503, "postgres is still starting")
        face.failure = Unavailable("gone")
        assert await call(server, "POST", "/restart") == (503, "restart failed")
        assert await call(server, "DELETE", "/restart") == (404, "no restarts are scheduled")
    assert face.asked == [("restart", None), ("restart", 30.0), ("restart", None)]


async def test_reload_and_reinitialize() -> None:
    face = FakeFace(view_of("demo-1"))
    async with serving(face) as server:
        assert await call(server, "POST", "/reload") == (202, "reload scheduled")
        assert await call(server, "POST", "/reinitialize", {"force": True}) == (200, "reinitialize started")
        assert (await call(server, "POST", "/reinitialize", ["force"]))[0] == 400
    assert face.asked == [("reload",), ("reinitialize", True, False)]
    async with serving(FakeFace()) as server:
        assert await call(server, "POST", "/reinitialize") == (503, "I am the leader, can not reinitialize")


CLAIM = {
    "name": "demo-0",
    "api_url": "http://10.0.0.10:8008/patroni",
    "conn_url": "postgres://10.0.0.10:5432/postgres",
    "slots": {"demo_1": 17, "bad": "x", "worse": -1, "flag": True},
}


async def test_a_replica_accepts_a_claim_and_tells_its_position() -> None:
    face = FakeFace(view_of("demo-1"))
    async with serving(face) as server:
        assert await call(server, "POST", "/failsafe", CLAIM) == (200, "Accepted")
    (_, claim), *rest = face.asked
    assert (claim.name, claim.slots, rest) == ("demo-0", {"demo_1": 17}, [])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"postgres": primary_postgres()}, 500),
        ({"settings": ClusterSettings(failsafe_mode=False)}, 502),
        ({"postgres": replica_postgres(process="stopped")}, 200),
    ],
)
async def test_claims_are_judged(changes: dict[str, Any], status: int) -> None:
    async with serving(FakeFace(view_of("demo-1", **changes))) as server:
        assert (await call(server, "POST", "/failsafe", CLAIM))[0] == status


@pytest.mark.parametrize(
    ("told", "counts"),
    [(30, 30.0), (8.5, 8.5), (None, 0.0), ("30", 0.0), (True, 0.0), (-1, 0.0), (1e9, inf), (10**400, inf)],
)
async def test_for_how_long_a_claim_asks(told: object, counts: float) -> None:
    """Patroni's claims do not tell; nonsense is as good as nothing."""
    face = FakeFace(view_of("demo-1"))
    async with serving(face) as server:
        await call(server, "POST", "/failsafe", CLAIM | {"ttl": told})
    ((_, claim),) = face.asked
    assert claim.ttl == counts


@pytest.mark.parametrize("broken", [{"name": 1}, {"name": ""}, {"api_url": None}, {"conn_url": "x" * 600}])
async def test_misshapen_claims_are_400(broken: dict[str, Any]) -> None:
    face = FakeFace(view_of("demo-1"))
    async with serving(face) as server:
        assert (await call(server, "POST", "/failsafe", CLAIM | broken))[0] == 400
    assert face.asked == []
