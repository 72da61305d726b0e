"""Everything that is asked without changing anything, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families
from unit.ha.document_cases import view_of
from unit.rest.fake_face import FakeFace, call, raw, serving

from matriarch.ha.documents import cluster_document, patroni_document
from matriarch.ha.view import LockView
from matriarch_agent.rest import SettingsSource, listener


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/primary", 200), ("/replica", 503), ("/liveness", 503), ("/patroni", 503), ("/config", 503)],
)
async def test_a_load_balancers_check_gets_a_status_and_no_body(method: str, path: str, status: int) -> None:
    async with serving(FakeFace()) as server:
        # HAProxy's `option httpchk`: HTTP/1.0 and not one header.
        assert await raw(server.port, f"{method} {path} HTTP/1.0\r\n\r\n".encode()) == (status, b"")
        assert await raw(server.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == (status, b"")


async def test_checks_by_get_carry_the_members_document() -> None:
    face = FakeFace()
    async with serving(face) as server:
        status, body = await call(server, "GET", "/primary")
        assert (status, json.loads(body)["role"]) == (200, "primary")
        status, body = await call(server, "GET", "/replica?lag=1MB")
        assert (status, json.loads(body)["patroni"]["name"]) == (503, "demo-0")
        status, body = await call(server, "GET", "/no/such/path")
        assert (status, json.loads(body)["state"]) == (503, "running")
    replica = FakeFace(view_of("demo-2"))
    async with serving(replica) as server:
        assert (await call(server, "GET", "/replica?lag=1kB"))[0] == 200
        assert (await call(server, "GET", "/replica?lag=100&lag=1kB"))[0] == 503
        assert (await call(server, "GET", "/replica?tag_zone=a"))[0] == 503
        assert (await call(server, "GET", "/readiness"))[0] == 200
        assert (await call(server, "GET", "/readiness?lag=100"))[0] == 503


async def test_probes_have_no_body() -> None:
    async with serving(FakeFace()) as server:
        assert await call(server, "GET", "/liveness") == (200, "")
        assert await call(server, "GET", "/readiness") == (200, "")


async def test_patroni_is_looked_at_afresh_but_never_waits_for_a_postgres_that_hangs() -> None:
    face = FakeFace()
    async with serving(face) as server:
        status, body = await call(server, "GET", "/patroni")
        assert (status, list(json.loads(body))) == (200, list(patroni_document(face.facts())))
        assert face.refreshed == 1
        face.refresh_takes = 60.0
        started = face.now()
        answers = await asyncio.gather(*(call(server, "GET", "/patroni") for _ in range(5)))
        assert [status for status, _ in answers] == [200] * 5
        assert face.refreshed == 2
        assert face.now() - started < 1.5


async def test_documents() -> None:
    face = FakeFace()
    async with serving(face) as server:
        status, body = await call(server, "GET", "/cluster")
        assert (status, json.loads(body)) == (200, cluster_document(face.facts()))
        assert await call(server, "GET", "/config") == (200, face.source.text)
        status, body = await call(server, "GET", "/history")
        assert (status, json.loads(body)[0][0]) == (200, 1)
        status, body = await call(server, "GET", "/failsafe")
        assert (status, sorted(json.loads(body))) == (200, ["demo-0", "demo-1", "demo-2"])


async def test_what_is_absent_is_a_502() -> None:
    face = FakeFace(view_of(lock=LockView()))
    face.source = SettingsSource(None, None)
    async with serving(face) as server:
        assert (await call(server, "GET", "/config"))[0] == 502
        status, body = await call(server, "GET", "/failsafe")
        assert status == 502
        assert body.startswith("<html>")


async def test_before_the_first_look_everything_answers() -> None:
    face = FakeFace()
    face.view = None
    async with serving(face) as server:
        statuses = {
            path: (await call(server, "GET", f"/{path}"))[0]
            for path in ("patroni", "cluster", "history", "metrics", "decisions", "failsafe", "liveness", "readiness")
        }
    assert statuses == {
        "patroni": 200,
        "cluster": 200,
        "history": 200,
        "metrics": 200,
        "decisions": 200,
        "failsafe": 502,
        "liveness": 200,
        "readiness": 503,
    }


async def test_decisions_can_be_limited() -> None:
    face = FakeFace()
    face.kept = [{"reason": "Leading", "number": number} for number in range(5)]
    async with serving(face) as server:
        assert json.loads((await call(server, "GET", "/decisions"))[1]) == face.kept
        assert json.loads((await call(server, "GET", "/decisions?limit=2"))[1]) == face.kept[3:]
        assert json.loads((await call(server, "GET", "/decisions?limit=0"))[1]) == []
        assert json.loads((await call(server, "GET", "/decisions?limit=-1"))[1]) == face.kept


async def test_metrics_are_patronis_and_ours_and_can_be_parsed() -> None:
    async with serving(FakeFace()) as server:
        status, body = await call(server, "GET", "/metrics")
    assert status == 200
    samples = {
        (sample.name, sample.labels.get("reason") or sample.labels.get("outcome")): sample
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert samples["patroni_primary", None].value == 1
    assert samples["matriarch_decisions_total", "Leading"].value == 3
    assert samples["matriarch_lock_renewals_total", "lost"].value == 1
    assert samples["matriarch_failsafe_rounds_total", "accepted"].value == 2
    assert 6 < samples["matriarch_lease_seconds_left", None].value <= 8
    assert samples["matriarch_lock_epoch", None].labels == {"scope": "demo", "name": "demo-0"}
    assert samples["process_open_fds", None].value > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_methods_that_nobody_handles_are_501(method: str) -> None:
    async with serving(FakeFace()) as server:
        status, body = await call(server, method, "/primary")
    assert status == 501
    assert "Unsupported method" in body


async def test_nonsense_on_the_wire_does_not_stop_the_server() -> None:
    async with serving(FakeFace()) as server:
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            status, _ = await raw(server.port, nonsense)
            assert status >= 400
        long = b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await raw(server.port, long))[0] == 400
        assert (await call(server, "GET", "/primary"))[0] == 200


async def test_a_connection_serves_one_request() -> None:
    async with serving(FakeFace()) as server:
        both = b"GET /primary HTTP/1.1\r\nHost: x\r\n\r\n" * 2
        _, body = await raw(server.port, both)
    assert body.count(b'"patroni"') == 1


async def hung_up(port: int, begun: bytes) -> bool:
    """Whether the server ends the connection, without an answer, of a client that sends no more than this."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(begun)
        async with asyncio.timeout(2):
            return await reader.read() == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


async def test_a_client_that_asks_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_TIMEOUT_S", 0.2)
    async with serving(FakeFace()) as server:
        assert await hung_up(server.port, b"")
        assert await hung_up(server.port, b"GET /primary HTTP/1.1\r\nHost:")


async def test_an_answer_may_take_longer_than_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_TIMEOUT_S", 0.1)
    face = FakeFace()
    face.refresh_takes = 0.3
    async with serving(face) as server:
        assert (await call(server, "GET", "/patroni"))[0] == 200


async def test_connections_beyond_the_limit_are_dropped_and_places_come_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 2)
    async with serving(FakeFace()) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        assert await hung_up(server.port, b"")
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        for _ in range(20):
            assert (await call(server, "GET", "/primary"))[0] == 200
