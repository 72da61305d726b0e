"""PATCH and PUT of the cluster settings, and what a body may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.rest.fake_face import FakeFace, FakePeers, call, raw, serving

from matriarch.ha.documents.access import Credentials
from matriarch.words.errors import ConflictError, Unavailable
from matriarch_agent.rest import RestServer, SettingsSource
from matriarch_agent.rest.configuration import RestConfiguration


async def test_a_patch_merges_by_compare_and_swap() -> None:
    face = FakeFace()
    async with serving(face) as server:
        status, body = await call(server, "PATCH", "/config", {"pause": True, "ttl": None})
    assert (status, json.loads(body)) == (200, {"loop_wait": 3, "pause": True})
    assert face.asked == [("settings", {"loop_wait": 3, "pause": True}, "11")]


async def test_a_patch_that_changes_nothing_writes_nothing() -> None:
    face = FakeFace()
    async with serving(face) as server:
        status, body = await call(server, "PATCH", "/config", {"ttl": "9", "pause": None})
    assert (status, json.loads(body)) == (200, {"ttl": 9, "loop_wait": 3})
    assert face.asked == []


async def test_a_put_replaces_whatever_is_there() -> None:
    face = FakeFace()
    async with serving(face) as server:
        assert (await call(server, "PUT", "/config", {"ttl": 20}))[0] == 200
        assert (await call(server, "PUT", "/config", {"loop_wait": 3, "ttl": 9}))[0] == 200
    assert face.asked == [("settings", {"ttl": 20}, "11")]


async def test_a_put_is_judged_by_what_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody had closed the databases a moment before, and a PUT that was judged by what had been there before that
    opened them again."""
    face = FakeFace()
    face.source = SettingsSource('{"postgresql": {"pg_hba": ["open"]}}', "11")
    write, others = face.write_settings, ['{"postgresql": {"pg_hba": ["open"]}, "ttl": 7}', '{"postgresql": {}}']

    async def swap(text: str, version: str | None) -> None:
        if others:
            face.source = SettingsSource(others.pop(0), f"{version}1")
            raise ConflictError("changed")
        await write(text, version)

    monkeypatch.setattr(face, "write_settings", swap)
    async with serving(face) as server:
        wanted = {"postgresql": {"pg_hba": ["open"]}, "ttl": 20}
        assert (await call(server, "PUT", "/config", wanted))[0] == 403
        assert face.asked == []
        others.append('{"postgresql": {}, "ttl": 8}')
        assert (await call(server, "PUT", "/config", {"ttl": 20}))[0] == 200
    assert face.asked == [("settings", {"ttl": 20}, "11111")]


async def test_failures_to_write() -> None:
    face = FakeFace()
    async with serving(face) as server:
        face.failure = ConflictError("changed")
        assert (await call(server, "PATCH", "/config", {"a": 1}))[0] == 409
        assert (await call(server, "PUT", "/config", {"a": 1}))[0] == 502
        face.failure = Unavailable("gone")
        assert (await call(server, "PATCH", "/config", {"a": 1}))[0] == 503
        assert (await call(server, "PUT", "/config", {"a": 1}))[0] == 502


async def test_without_settings_a_patch_must_not_create_them() -> None:
    face = FakeFace()
    face.source = SettingsSource(None, "11")
    async with serving(face) as server:
        assert (await call(server, "PATCH", "/config", {"a": 1}))[0] == 503
    assert face.asked == []


@pytest.mark.parametrize("document", [{"postgresql": {"parameters": ["x"]}}, {"postgresql": 1}])
async def test_settings_that_could_not_be_used_are_refused(document: dict[str, object]) -> None:
    face = FakeFace()
    async with serving(face) as server:
        for method in ("PATCH", "PUT"):
            status, _ = await call(server, method, "/config", document)
            assert status == 400
    assert face.asked == []


async def test_settings_do_not_grow_beyond_what_an_annotation_holds() -> None:
    face = FakeFace()
    face.source = SettingsSource(json.dumps({"a": "x" * 40_000}), "11")
    async with serving(face) as server:
        assert (await call(server, "PATCH", "/config", {"b": "y" * 40_000}))[0] == 400
        assert (await call(server, "PATCH", "/config", {"a": "y" * 40_000}))[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"null", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b'{"a":NaN}', 400),
        (b'{"a":"\\ud800"}', 400),
        (b"[" * 60_000, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b"x" * 70_000, 413),
    ],
)
async def test_bodies_that_are_no_object(body: bytes, status: int) -> None:
    face = FakeFace()
    async with serving(face) as server:
        head = f"PATCH /config HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        assert (await raw(server.port, head + body))[0] == status
        assert (await call(server, "GET", "/primary"))[0] == 200
    assert face.asked == []


async def test_a_body_without_a_length_is_411() -> None:
    async with serving(FakeFace()) as server:
        assert (await raw(server.port, b"PATCH /config HTTP/1.0\r\n\r\n"))[0] == 411
        chunked = b"PATCH /config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        assert (await raw(server.port, chunked))[0] == 411


async def test_a_body_that_never_comes_does_not_hold_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matriarch_agent.rest.replies.BODY_TIMEOUT_S", 0.1)
    async with serving(FakeFace()) as server:
        slow = b"PATCH /config HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        assert (await raw(server.port, slow))[0] == 408


async def test_programs_are_not_taken_from_whoever_reaches_the_port() -> None:
    """They would run with all that Postgres may read."""
    face = FakeFace()
    async with serving(face) as server:
        for document in (
            {"postgresql": {"callbacks": {"on_start": "/bin/sh -c id"}}},
            {"postgresql": {"create_replica_methods": ["x"], "x": {"command": "id"}}},
            {"bootstrap": {"method": "x", "x": {"command": "id"}}},
            {"postgresql": {"pre_promote": "id"}},
            {"postgresql": {"basebackup": ["verbose"]}},
            {"postgresql": {"parameters": {" Archive_Command": "id"}}},
        ):
            for method in ("PATCH", "PUT"):
                status, body = await call(server, method, "/config", document)
                assert status == 403 and "password or a certificate" in body, document
    assert face.asked == []


HERE = {"standby_cluster": {"host": "main.shop.svc", "port": 5432, "from_spec": True}, "ttl": 9}


@pytest.mark.parametrize("before", [{"ttl": 9}, HERE, {"standby_cluster": None}, {"standby_cluster": "x"}])
@pytest.mark.parametrize(
    "wanted", [{"host": "evil.example"}, {"host": "evil.example", "port": 5432, "from_spec": True}]
)
async def test_nobody_unknown_sends_the_cluster_to_another_one(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    """One request demoted the cluster, and sent the replication password to whoever had asked for it."""
    face = FakeFace()
    face.source = SettingsSource(json.dumps(before), "11")
    async with serving(face) as server:
        for method in ("PATCH", "PUT"):
            status, body = await call(server, method, "/config", {"standby_cluster": wanted})
            assert status == 403 and "standby_cluster" in body and "spec.standby" in body and "restApi" in body
    assert face.asked == []


@pytest.mark.parametrize("key", ["pg_hba", "pg_ident"])
async def test_nobody_unknown_opens_the_databases(key: str) -> None:
    face = FakeFace()
    face.source = SettingsSource(json.dumps({"postgresql": {key: ["local all all peer"]}}), "11")
    async with serving(face) as server:
        for lines in (["host all all all trust"], [], None):
            status, body = await call(server, "PATCH", "/config", {"postgresql": {key: lines}})
            assert status == 403 and "spec.pgHba" in body
        status, body = await call(server, "PUT", "/config", {"ttl": 9})
        assert status == 403, "to leave them out takes them away"
    assert face.asked == []


async def test_what_stays_and_what_goes_is_for_everybody() -> None:
    """A promotion sends nothing to anybody: it is let in as a failover is."""
    face = FakeFace()
    face.source = SettingsSource(json.dumps(HERE), "11")
    async with serving(face) as server:
        for method, document in (
            ("PATCH", {"ttl": 20}),
            ("PATCH", {"standby_cluster": {"port": "5432"}, "ttl": 21}),
            ("PUT", HERE | {"ttl": 22}),
            ("PATCH", {"standby_cluster": None}),
            ("PUT", {"ttl": 9}),
        ):
            assert (await call(server, method, "/config", document))[0] == 200, document
    assert len(face.asked) == 5


async def test_whoever_is_known_may_name_another_cluster(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("admin")
    (tmp_path / "password").write_text("secret")
    face = FakeFace()
    server = RestServer(face, FakePeers(), "127.0.0.1", 0, RestConfiguration(auth=tmp_path))
    login = Credentials("admin", "secret")
    await server.start(credentials=login)
    try:
        document, headers = {"standby_cluster": {"host": "main"}}, {"Authorization": login.header}
        assert (await call(server, "PATCH", "/config", document))[0] == 401
        assert (await call(server, "PATCH", "/config", document, headers))[0] == 200
    finally:
        await server.close()
